import { mkdir, readFile, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { ignore, writeFileAtomically } from '@mgpu/core';

const [first, last] = ['# mgpu: begin', '# mgpu: end'];

export const accountKeysFile = ({ HOME }: Readonly<Record<string, string | undefined>>): string =>
  join(HOME ?? homedir(), '.ssh', 'authorized_keys');

/**
 * Puts the keys between two comments of ours into an authorized_keys file; without keys the block goes away. Every other line
 * stays as it is. Returns whether anything changed.
 */
export async function keepAccountKeys(path: string, keys: readonly string[]): Promise<boolean> {
  const before = (await readFile(path, 'utf8').catch(ignore('ENOENT'))) ?? '';
  const after = withBlock(before, keys);
  if (after === before) return false;
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const mode = await stat(path).then(
    (facts) => facts.mode & 0o777,
    () => 0o600, // there was none
  );
  await writeFileAtomically(path, after, mode & 0o700 || 0o600);
  return true;
}

function withBlock(text: string, keys: readonly string[]): string {
  const lines = text.split('\n');
  const from = lines.indexOf(first);
  const to = lines.indexOf(last, from);
  const others = from < 0 || to < 0 ? lines : lines.toSpliced(from, to - from + 1);
  const rest = others.join('\n');
  if (keys.length === 0) return rest;
  const separator = rest === '' || rest.endsWith('\n') ? '' : '\n';
  return `${rest}${separator}${[first, ...keys, last].join('\n')}\n`;
}
