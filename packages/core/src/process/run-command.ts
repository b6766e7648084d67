import { systemClock } from '../clock.ts';

/** What a short-lived helper program said. Failure is a value: nothing is thrown. */
export interface CommandResult {
  readonly ok: boolean;
  readonly exitCode: number | undefined;
  readonly signal: string | undefined;
  readonly stdout: string;
  readonly stderr: string;
  /** The deadline passed; the program was killed, or abandoned when the kernel would not let it die. */
  readonly timedOut: boolean;
  /** The system's reason when it could not be started, e.g. `ENOENT`. */
  readonly spawnError: string | undefined;
  /** Set when the kernel would not let it die and it was abandoned: resolves when it is gone after all. */
  readonly gone?: Promise<void>;
}

export interface CommandOptions {
  /** Milliseconds before SIGKILL. Default 5,000; the answer comes at most 1 s later. */
  readonly timeoutMs?: number;
  readonly cwd?: string;
  /** Added to our own environment; undefined removes a name from it. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Kills it; the answer comes at most 1 s later. */
  readonly signal?: AbortSignal | undefined;
}

const abandonMs = 1_000;

const nothing: CommandResult = {
  ok: false,
  exitCode: undefined,
  signal: undefined,
  stdout: '',
  stderr: '',
  timedOut: false,
  spawnError: undefined,
};

/**
 * Runs a helper to its end with bounded time and at most 4 MB of output, without a shell. It has a process group of its
 * own and is killed with all of that.
 */
export async function runCommand(
  file: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const { timeoutMs = 5_000, cwd, env, signal } = options;
  let run: typeof import('execa').execa;
  try {
    run = (await import('execa')).execa; // 45 ms of each start for those who run none
  } catch (error) {
    return { ...nothing, spawnError: (error as NodeJS.ErrnoException).code ?? 'ERR_MODULE_NOT_FOUND' };
  }
  const child = run(file, [...args], {
    reject: false,
    stdin: 'ignore',
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
    killDescendants: true,
    maxBuffer: 4_000_000,
    ...(cwd === undefined ? {} : { cwd }),
    ...(env === undefined ? {} : { env: env as Record<string, string> }),
    ...(signal === undefined ? {} : { cancelSignal: signal }),
  });
  const answered = new AbortController();
  const called = signal ? AbortSignal.any([answered.signal, signal]) : answered.signal;
  const abandoned = systemClock
    .sleep(timeoutMs, { signal: called })
    .catch(() => {}) // called off, by its signal or by its answer
    .then(() => systemClock.sleep(abandonMs, { signal: answered.signal }))
    .catch(() => {}); // answered
  const result = await Promise.race([child, abandoned]);
  answered.abort();
  if (!result) {
    // It hangs in the kernel, or something that left its group holds its output open: nothing of it may keep us alive.
    const { nodeChildProcess: process } = child;
    process.unref();
    child.stdout?.destroy();
    child.stderr?.destroy();
    const lives = process.exitCode === null && process.signalCode === null;
    return {
      ...nothing,
      timedOut: !signal?.aborted,
      ...(lives ? { gone: new Promise<void>((resolve) => process.once('exit', () => resolve())) } : {}),
    };
  }
  return {
    ok: !result.failed,
    exitCode: result.exitCode,
    signal: result.signal,
    stdout: result.stdout,
    stderr: result.stderr,
    timedOut: result.timedOut,
    spawnError:
      result.exitCode === undefined && result.signal === undefined ? (result as { code?: string }).code : undefined,
  };
}
