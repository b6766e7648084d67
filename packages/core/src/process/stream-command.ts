import { type ChildProcessByStdio, type StdioOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { dyingWithUs } from './dying-with-us.ts';
import { killTree } from './kill-tree.ts';
import { readProcess } from './process-table.ts';

export interface StreamOptions {
  /** The environment it inherits, nothing else. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string | undefined;
  /** Asks it to end, as Ctrl-C does. */
  readonly interrupt?: AbortSignal | undefined;
  /** Kills it and everything that it has started. */
  readonly signal?: AbortSignal | undefined;
  /** Each line it prints, on either stream; a carriage return ends one, too. */
  readonly onLine?: ((line: string) => void) | undefined;
  /** Each message that a program of Node sends over a channel (`process.send`), which it has only then. */
  readonly onMessage?: ((message: unknown) => void) | undefined;
  /** Characters of standard output that are kept, the last ones. Default 4 million. */
  readonly keptChars?: number | undefined;
}

/** How a command ended that may take as long as it likes. Failure is a value: nothing is thrown. */
export interface StreamResult {
  readonly ok: boolean;
  /** Standard output, as much of its end as is kept. */
  readonly stdout: string;
  /** What it printed last on either stream, up to 2,000 lines. */
  readonly lastLines: readonly string[];
  /** Why it is not ok, in words: `it ended with exit code 1`. */
  readonly problem?: string;
}

const keptLines = 2_000;

/**
 * Runs a helper to its end, without a shell and without a deadline, and tells what it prints meanwhile. It has a session
 * of its own, which dies with it when it is called off; and it dies with us even when we are killed (where there is
 * `setpriv`), so that nobody works on our files when we come again.
 */
export async function streamCommand(
  file: string,
  args: readonly string[],
  { env, cwd, interrupt, signal, onLine, onMessage, keptChars = 4_000_000 }: StreamOptions,
): Promise<StreamResult> {
  const failed = (problem: string): StreamResult => ({ ok: false, stdout: '', lastLines: [], problem });
  const { program, words } = await dyingWithUs(file, args, env);
  if (signal?.aborted || interrupt?.aborted) return failed('it was called off');
  let child: ChildProcessByStdio<null, Readable, Readable>;
  try {
    const stdio: StdioOptions = ['ignore', 'pipe', 'pipe', ...(onMessage ? (['ipc'] as const) : [])];
    child = spawn(program, words, { env, cwd, stdio, detached: true }) as typeof child;
    await once(child, 'spawn');
  } catch (error) {
    return failed((error as Error).message);
  }
  const pid = child.pid as number;
  const leader = { pid, startTime: readProcess(pid)?.startTime ?? 0 };
  const lastLines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY }).on('line', (line) => {
      if (line.trim() === '') return;
      lastLines.push(line.slice(0, 2_000));
      if (lastLines.length > keptLines) lastLines.shift();
      onLine?.(line);
    });
  }
  let stdout = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout = (stdout + text).slice(-keptChars);
  });
  if (onMessage) child.on('message', onMessage);
  const ask = () => void child.kill('SIGINT');
  const kill = () => killTree(leader);
  interrupt?.addEventListener('abort', ask);
  signal?.addEventListener('abort', kill);
  if (interrupt?.aborted) ask();
  if (signal?.aborted) kill();
  try {
    const [code, killedBy] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
    if (code === 0) return { ok: true, stdout, lastLines };
    const problem =
      signal?.aborted || interrupt?.aborted
        ? 'it was called off'
        : code === null
          ? `it was ended by ${killedBy}`
          : `it ended with exit code ${code}`;
    return { ok: false, stdout, lastLines, problem };
  } finally {
    interrupt?.removeEventListener('abort', ask);
    signal?.removeEventListener('abort', kill);
  }
}
