import { randomUUID } from 'node:crypto';
import { link, rm, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { LogCutError } from '../errors/core-errors.ts';
import { runCommand } from '../process/run-command.ts';

/** Bytes: a multiple of the block of every file system that can collapse, clusters of ext4 included. */
export const cutAlignment = 64 * 1024;

const timeoutMs = 30_000;

/** What is said where it cannot be done: by the programs, of them when they are missing, of links that a system has not. */
const cannot = /not supported|invalid argument|unrecognized option|ENOENT|EPERM|ENOTSUP|EOPNOTSUPP|ENOSYS/i;

/** By device: whether its file system can take out the head of a file. */
const support = new Map<number, boolean>();

/**
 * Whether the head of this file can be taken out under its writer's hands: on ext4, XFS and overlays of them. Throws
 * `CORE_LOG_CUT` when that could not be found out.
 */
export async function canCollapse(file: string): Promise<boolean> {
  const { dev } = await stat(dirname(file));
  const known = support.get(dev);
  if (known !== undefined) return known;
  const trial = `${file}.${randomUUID()}.part`;
  try {
    await writeFile(trial, Buffer.alloc(2 * cutAlignment));
    const problem = await collapseRange(trial, cutAlignment);
    const can = problem === undefined;
    if (!can && !cannot.test(problem)) throw new LogCutError({ file, problem });
    support.set(dev, can);
    return can;
  } finally {
    await rm(trial, { force: true });
  }
}

/**
 * Takes the first `length` bytes out of a file; what is appended meanwhile stays. Returns what went wrong, if so: then it
 * may happen still, until `awaitCollapses`.
 *
 * Node has no such call, so a program does it, and might still do it after we were killed. It goes by a second name of the
 * file, made for this one time, and holds a lock on the folder from before it opens that.
 */
export async function collapseRange(file: string, length: number): Promise<string | undefined> {
  const folder = dirname(file);
  const name = `${file}.${randomUUID()}.cut`;
  try {
    await link(file, name);
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (cannot.test(code)) return code;
    throw error;
  }
  try {
    const { ok, stderr, spawnError, timedOut } = await runCommand(
      'flock',
      ['--no-fork', folder, 'fallocate', '--collapse-range', '--offset', '0', '--length', String(length), name],
      { timeoutMs, env: { LC_ALL: 'C' } },
    );
    return ok ? undefined : timedOut ? 'fallocate did not answer' : spawnError || stderr.trim() || 'fallocate failed';
  } finally {
    await rm(name, { force: true });
  }
}

/** Waits for collapses that were left alone; their second names have to be removed before. False when one hangs. */
export async function awaitCollapses(folder: string): Promise<boolean> {
  const { ok, spawnError } = await runCommand('flock', [folder, 'true'], { timeoutMs });
  return ok || spawnError === 'ENOENT'; // without the program nothing was ever collapsed
}
