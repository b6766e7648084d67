import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { dyingWithUs } from './dying-with-us.ts';

export interface FollowOptions {
  /** The environment it inherits. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Ends it and the iteration. */
  readonly signal: AbortSignal;
}

/** Longer lines are cut into pieces of this many characters. */
const maxLineChars = 16_384;

/**
 * Runs a helper that goes on, and yields the lines it prints, without a shell. Ends when the helper ends, whatever the
 * reason, or with the signal; the helper ends with the iteration, and with us even when we are killed (where there is
 * `setpriv`). Returns why it ended, in words.
 */
export async function* followCommand(
  file: string,
  args: readonly string[],
  { env, signal }: FollowOptions,
): AsyncGenerator<string, string> {
  // Nothing follows a helper's output once we are gone: without this it would wait for a next line for ever.
  const { program, words } = await dyingWithUs(file, args, env);
  if (signal.aborted) return 'it was called off';
  let child: ChildProcessByStdio<null, Readable, Readable>;
  try {
    child = spawn(program, words, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    // One that could not be started has no streams, and must not be killed: without a pid that means our own process group.
    await once(child, 'spawn');
  } catch (error) {
    return (error as Error).message;
  }
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const kill = () => void child.kill('SIGKILL');
  signal.addEventListener('abort', kill);
  if (signal.aborted) kill();
  let complaint = '';
  child.on('error', ({ message }) => {
    complaint ||= message;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint ||= text.trim().split('\n', 1)[0]?.slice(0, 200) ?? '';
  });
  try {
    let rest = '';
    for await (const text of child.stdout.setEncoding('utf8')) {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) yield* piecesOf(line);
      if (rest.length < maxLineChars) continue;
      yield* piecesOf(rest);
      rest = '';
    }
    if (rest !== '') yield rest;
    await closed;
    return complaint || `ended with ${child.exitCode ?? child.signalCode ?? 'no reason given'}`;
  } finally {
    signal.removeEventListener('abort', kill);
    kill();
    await closed;
  }
}

function* piecesOf(line: string): Generator<string> {
  for (let at = 0; at === 0 || at < line.length; at += maxLineChars) yield line.slice(at, at + maxLineChars);
}
