import { defineError, type MgpuError } from '@mgpu/core';

export const ListInvalidError = defineError<{ source: string; problems: readonly string[] }>({
  code: 'MODELS_LIST_INVALID',
  message: ({ source, problems }) => `${source} is no list of models: ${problems.join('; ')}`,
  hint: 'it is YAML or JSON: {"models": [{"url": "…", "path": "checkpoints/…"}]}, or the bare array',
});

export const EntryInvalidError = defineError<{ name: string; problems: readonly string[] }>({
  code: 'MODELS_ENTRY_INVALID',
  message: ({ name, problems }) => `the entry ${name} cannot be used: ${problems.join('; ')}`,
  hint: 'correct it in the list',
});

export const StaticInvalidError = defineError<{ source: string; problems: readonly string[] }>({
  code: 'MODELS_STATIC_INVALID',
  message: ({ source, problems }) => `${source} is no list of static models: ${problems.join('; ')}`,
  hint: 'it is JSON: {"symlinks": [{"source": "…", "target": "…"}], "no_index": [{"path": "…"}]}',
});

export const PathRefusedError = defineError<{ path: string; problem: string }>({
  code: 'MODELS_PATH',
  message: ({ path, problem }) => `${JSON.stringify(path)} is no place for a model: ${problem}`,
  hint: 'give a path below the shared models, such as checkpoints/name.safetensors',
});

export const UrlRefusedError = defineError<{ url: string; problem: string }>({
  code: 'MODELS_URL',
  message: ({ url, problem }) => `${url} cannot be downloaded: ${problem}`,
  hint: 'https, hf://owner/repo/file, civitai://version, s3://bucket/key, gs://bucket/key or az://container/key',
});

export const ModelUnknownError = defineError<{ name: string; known: readonly string[] }>({
  code: 'MODELS_UNKNOWN',
  message: ({ name, known }) => `there is no model "${name}" on the list; it has: ${listed(known)}`,
  hint: 'check the spelling; `mgpu models ls` shows what there is',
});

export const NotFoundError = defineError<{ url: string; status: number }>({
  code: 'MODELS_NOT_FOUND',
  message: ({ url, status }) => `${url} is not there (status ${status})`,
  hint: 'check the address; some hosts answer so where a token is missing',
});

export const RefusedError = defineError<{ url: string; status: number; needs: string }>({
  code: 'MODELS_REFUSED',
  message: ({ url, status }) => `${url} is not given to us (status ${status})`,
  hint: ({ needs }) => needs,
});

export const AccountError = defineError<{ url: string; problem: string; needs: string }>({
  code: 'MODELS_ACCOUNT',
  message: ({ url, problem }) => `${url} cannot be asked for: ${problem}`,
  hint: ({ needs }) => needs,
});

export const UnreachableError = defineError<{ url: string; problem: string }>({
  code: 'MODELS_UNREACHABLE',
  retryable: true,
  message: ({ url, problem }) => `${url} cannot be reached: ${problem}`,
  hint: 'check the network and the address; what has come stays and is gone on with',
});

export const BadAnswerError = defineError<{ url: string; problem: string; mayPass: boolean }>({
  code: 'MODELS_BAD_ANSWER',
  retryable: ({ mayPass }) => mayPass,
  message: ({ url, problem }) => `${url} gives an answer that cannot be used: ${problem}`,
  hint: 'open the address in a browser to see what it answers',
});

/** Milliseconds that a host may ask to be left alone and is. */
const longestBusyMs = 300_000;

export const BusyError = defineError<{ url: string; status: number; waitMs: number }>({
  code: 'MODELS_BUSY',
  retryable: ({ waitMs }) => waitMs <= longestBusyMs,
  message: ({ url, status, waitMs }) =>
    `${url} asks to be left alone for ${Math.ceil(waitMs / 1_000)} s (status ${status})${waitMs <= longestBusyMs ? '' : `, longer than the ${longestBusyMs / 1_000} s that are waited`}`,
  hint: 'try again then; fewer at a time (services.models.concurrency), or a token, may keep it from happening',
});

/** Milliseconds that a busy host wants to be left alone after this failure; none after any other. */
export const waitAskedFor = (error: MgpuError): number => (error instanceof BusyError ? error.details.waitMs : 0);

export const RedirectError = defineError<{ url: string; to: string; problem: string }>({
  code: 'MODELS_REDIRECT',
  message: ({ url, to, problem }) => `${url} sends us to ${to}, which is not followed: ${problem}`,
  hint: 'give the final address',
});

export const StalledError = defineError<{ url: string; bytes: number; seconds: number }>({
  code: 'MODELS_STALLED',
  retryable: true,
  message: ({ url, bytes, seconds }) => `${url} gave ${bytes} bytes in ${seconds} s`,
  hint: 'try again later, or lower services.models.stall; what has come stays and is gone on with',
});

export const CutShortError = defineError<{ url: string; expected: number; received: number }>({
  code: 'MODELS_CUT_SHORT',
  retryable: true,
  message: ({ url, expected, received }) => `${url} ended after ${received} of ${expected} bytes`,
  hint: 'the same command goes on where it ended; if it always ends there, the server is wrong about the size',
});

export const SizeError = defineError<{ url: string; expected: number; found: number }>({
  code: 'MODELS_SIZE',
  message: ({ url, expected, found }) => `${url} has ${found} bytes or more where there should be ${expected}`,
  hint: 'correct the size in the list, or give another source',
});

export const ChecksumError = defineError<{ url: string; expected: string; found: string }>({
  code: 'MODELS_CHECKSUM',
  message: ({ url, expected, found }) => `${url} has the SHA-256 ${found}, not ${expected}; what came was removed`,
  hint: 'correct the checksum in the list, or give another source',
});

export const ChangedError = defineError<{ url: string }>({
  code: 'MODELS_CHANGED',
  retryable: true,
  message: ({ url }) => `${url} was changed while it was downloaded`,
  hint: 'it is begun anew',
});

export const NoSpaceError = defineError<{ path: string; neededBytes: number; freeBytes: number }>({
  code: 'MODELS_NO_SPACE',
  message: ({ path, neededBytes, freeBytes }) =>
    `${path} needs ${neededBytes} bytes and ${Math.max(0, freeBytes)} are free beside what is kept in reserve`,
  hint: '`mgpu models du` shows what takes the space, `mgpu models evict` frees some',
});

export const DiskFullError = defineError<{ path: string; received: number }>({
  code: 'MODELS_DISK_FULL',
  message: ({ path, received }) => `the disk is full after ${received} bytes of ${path}, which stay`,
  hint: 'free some space; the same command goes on where it ended',
});

export const TakenError = defineError<{ path: string; problem: string }>({
  code: 'MODELS_TAKEN',
  message: ({ path, problem }) => `${path} is left as it is: ${problem}`,
  hint: 'move it away, or give `force` to have it replaced once the new one is whole',
});

export const LinkSourceError = defineError<{ path: string; source: string; present: readonly string[] }>({
  code: 'MODELS_LINK_SOURCE',
  message: ({ path, source, present }) =>
    `${path} is not linked: there is no ${source}; its folder has ${listed(present)}`,
  hint: 'correct the source in static-models.json, or bring the file',
});

export const LinkTakenError = defineError<{ path: string; problem: string }>({
  code: 'MODELS_LINK_TAKEN',
  message: ({ path, problem }) => `${path} is not linked: ${problem}`,
  hint: 'a link never replaces a real file; move it away to have the link',
});

export const SyncSourceError = defineError<{ problem: string }>({
  code: 'MODELS_SYNC_SOURCE',
  message: ({ problem }) => `there is nothing to synchronise from: ${problem}`,
  hint: 'set services.models.sync.provider and .container (CLOUD_PROVIDER, CLOUD_MODELS_CONTAINER)',
});

export const DamagedError = defineError<{ path: string; problem: string }>({
  code: 'MODELS_DAMAGED',
  message: ({ path, problem }) => `${path} is not what it was: ${problem}`,
  hint: '`mgpu models pull --force` brings it again',
});

function listed(names: readonly string[]): string {
  if (names.length === 0) return 'nothing';
  return names.length > 8 ? `${names.slice(0, 8).join(', ')} and ${names.length - 8} more` : names.join(', ');
}
