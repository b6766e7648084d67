import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

type Ask = (words: readonly string[]) => Promise<string>;

/** Where a move goes, as long as it is under way. */
const mark = 'refs/mgpu/moving';

/** Moves a checkout in such a way that it is known afterwards that it was under way. */
export async function moving(ask: Ask, commit: string, words: readonly string[]): Promise<void> {
  await ask(['update-ref', mark, commit]);
  try {
    await ask(words);
  } finally {
    await ask(['update-ref', '-d', mark]);
  }
}

/**
 * After a move that was killed: a file of which Git had written the beginning gets the rest. Left as it is, it would count for
 * somebody's edit.
 */
export async function completeTornFiles(ask: Ask, dir: string): Promise<void> {
  const target = await ask(['rev-parse', '--verify', '--quiet', mark]).catch(() => '');
  if (target === '') return;
  const head = await ask(['rev-parse', '--verify', '--quiet', 'HEAD']).catch(() => '');
  const list =
    head === '' ? ['ls-tree', '-r', '-z', '--name-only', target] : ['diff', '--name-only', '-z', head, target];
  for (const path of (await ask(list)).split('\0').filter(Boolean)) {
    const present = await readFile(join(dir, path), 'utf8').catch(() => undefined); // not there, or no file
    if (present === undefined) continue;
    const whole = await ask(['cat-file', 'blob', `${target}:${path}`]).catch(() => undefined); // removed there
    if (whole === undefined || present.length >= whole.length) continue;
    // Where it was cut, half of a character may stand; Git's answer came without blanks at its ends.
    if (whole.startsWith(present.trimStart().slice(0, -1)))
      await ask(['--literal-pathspecs', 'checkout', '--quiet', target, '--', path]);
  }
  await ask(['update-ref', '-d', mark]);
}
