/** The version that is downloaded unless the configuration names another. */
export const pinned = '0.32.7';

/** Architectures that releases are made for, as Node names them, and as they are named in archives. */
export const architectures = { x64: 'amd64', arm64: 'arm64' } as const;
export type Architecture = keyof typeof architectures;

/**
 * SHA-256 of `ollama-linux-<arch>.tar.zst`, by version. From the release's `sha256sum.txt`, as package collections that build on
 * these archives have recorded it, too.
 */
export const checksums: Readonly<Record<string, Readonly<Record<Architecture, string>>>> = {
  '0.32.7': {
    x64: 'ed1e39fe8fea90bd7f4c723bd949a2cea3153e111220ec0a183ea5b8dc8b2cae',
    arm64: '413cb50f2fd201b65e17e563c082607bc0ade60d700132c563c7a1c0cd529fde',
  },
};
