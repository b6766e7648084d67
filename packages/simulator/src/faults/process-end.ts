import { writeSync } from 'node:fs';

/** Ends the process by itself or by a signal, with last words on stderr. */
export function die({
  message,
  signal,
  exitCode = 1,
}: {
  readonly message?: string | undefined;
  readonly signal?: NodeJS.Signals | undefined;
  readonly exitCode?: number | undefined;
}): never {
  if (message !== undefined) writeSync(2, `${message}\n`);
  if (signal === undefined) process.exit(exitCode);
  process.kill(process.pid, signal);
  // A signal may arrive a moment later.
  return stopForEver();
}

/** Blocks the only thread: nothing answers any more. */
export function stopForEver(): never {
  for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}
