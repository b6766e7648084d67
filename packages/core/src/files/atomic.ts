import writeFileAtomic from 'write-file-atomic';

/** Writes the whole file or nothing: temporary file beside it, fsync, rename. Mode default 0600. */
export async function writeFileAtomically(path: string, data: string | Uint8Array, mode = 0o600): Promise<void> {
  await writeFileAtomic(path, typeof data === 'string' ? data : Buffer.from(data), { mode });
}
