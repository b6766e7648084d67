import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { createZstdDecompress } from 'node:zlib';

/** Unpacks a `.tar.zst` into an empty folder; nothing of it comes to lie elsewhere. */
export async function unpack(archive: string, dir: string, signal: AbortSignal): Promise<void> {
  // Needed once in the life of a machine.
  const { extract } = await import('tar');
  await pipeline(createReadStream(archive), createZstdDecompress(), extract({ cwd: dir, strict: true }), { signal });
}
