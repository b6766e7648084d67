import { open } from 'node:fs/promises';
import { stripVTControlCharacters } from 'node:util';

const maxBytes = 64 * 1024;
const maxLineLength = 1_000;

/**
 * The last lines of a file from `from` on, without colours, of each at most 1,000 characters; carriage returns keep the
 * last state of a line.
 */
export async function lastLines(path: string, { from = 0, count = 50 } = {}): Promise<string[]> {
  const file = await open(path, 'r').catch(() => undefined);
  if (!file) return []; // nothing was ever written
  try {
    const { size } = await file.stat();
    const start = Math.max(from, size - maxBytes);
    const { buffer, bytesRead } = await file.read({
      position: start,
      length: Math.max(0, size - start),
      buffer: Buffer.alloc(Math.max(1, size - start)),
    });
    return stripVTControlCharacters(buffer.toString('utf8', 0, bytesRead))
      .split('\n')
      .map((line) => line.split('\r').filter(Boolean).at(-1)?.trimEnd() ?? '')
      .filter((line) => line !== '')
      .slice(-count)
      .map((line) => (line.length > maxLineLength ? `${line.slice(0, maxLineLength)}…` : line));
  } finally {
    await file.close();
  }
}
