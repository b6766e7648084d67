import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, statSync } from 'node:fs';
import { ProcessSpawnError } from '../errors/core-errors.ts';
import { MgpuError } from '../errors/mgpu-error.ts';
import { logEnd } from '../instance-log/log-source.ts';
import type { ListenAddress } from './ports.ts';
import { executableOf, readProcess } from './process-table.ts';
import { instanceMarker, runMarker } from './process-tree.ts';

/** How an instance's process is started and stopped: a pure value. */
export interface ProcessSpec {
  /** Program: an absolute path, or a name looked up in PATH. Never a shell line. */
  readonly file: string;
  readonly args?: readonly string[];
  readonly cwd?: string;
  /** Added to the context's environment; undefined removes a name from it. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Default SIGTERM. */
  readonly stopSignal?: NodeJS.Signals;
  /** Milliseconds between the stop signal and force. Default 10,000. */
  readonly graceMs?: number;
  /** Addresses it listens on: seen free before it starts and after it ended. */
  readonly ports?: readonly ListenAddress[];
  /** What else it is started by, such as the content of a file it reads then: when that changes, a living one is outdated. */
  readonly inputs?: string;
  /** True for a program that is meant to end: exit code 0 completes the run. Default false. */
  readonly completes?: boolean;
}

/** How a process ended. `code` is null when a signal ended it; both are when it was adopted: nobody can know. */
export interface ProcessExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A process that we, or a daemon before us, started in a session of its own, its output going to a file without us. */
export interface SpawnedProcess {
  readonly pid: number;
  readonly startTime: number;
  readonly exe: string | undefined;
  /** Where the log ended when it was started, a logical offset: its own output begins there. */
  readonly logOffset: number;
  readonly exited: Promise<ProcessExit>;
}

/** The system is short of something for the moment. */
const transient = new Set(['EAGAIN', 'EMFILE', 'ENFILE', 'ENOMEM', 'ENOSPC', 'ETXTBSY']);

/** Starts the process; `CORE_PROCESS_SPAWN` when the system refuses. */
export async function spawnProcess(
  spec: ProcessSpec,
  options: {
    readonly instance: string;
    /** Its folder. */
    readonly dir: string;
    readonly run: string;
    readonly env: Readonly<Record<string, string | undefined>>;
    readonly log: string;
  },
): Promise<SpawnedProcess> {
  const { instance, dir, run, log } = options;
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries({
    ...options.env,
    ...spec.env,
    [runMarker]: run,
    [instanceMarker]: dir,
  })) {
    if (value !== undefined) env[name] = value;
  }
  const failure = (problem: string, code: string, cause?: unknown) =>
    new ProcessSpawnError({ instance, file: spec.file, problem, permanent: !transient.has(code) }, { cause });
  const output = openLog(log, failure);
  try {
    const logOffset = endOf(log, failure);
    const child = launch(spec, { env, output, failure });
    const exited = new Promise<ProcessExit>((resolve) => {
      child.once('exit', (code, signal) => resolve({ code, signal }));
    });
    const { pid } = child;
    if (pid === undefined) {
      const [error] = (await once(child, 'error')) as [NodeJS.ErrnoException];
      throw failure(problemOf(error, spec), error.code ?? '', error);
    }
    return { pid, startTime: readProcess(pid)?.startTime ?? 0, exe: executableOf(pid), logOffset, exited };
  } finally {
    closeSync(output);
  }
}

function launch(
  { file, args = [], cwd }: ProcessSpec,
  { env, output, failure }: { env: Readonly<Record<string, string>>; output: number; failure: ToFailure },
): ChildProcess {
  const where = cwd === undefined ? {} : { cwd };
  try {
    return spawn(file, args, { detached: true, env, stdio: ['ignore', output, output], ...where });
  } catch (error) {
    // Some refusals are events, others come at once.
    const { code = '', message } = error as NodeJS.ErrnoException;
    throw failure(message, code, error);
  }
}

/** The system names the program even where it is the folder that is missing. */
const problemOf = ({ code, message }: NodeJS.ErrnoException, { cwd }: ProcessSpec) =>
  code === 'ENOENT' && cwd !== undefined && !existsSync(cwd) ? `there is no folder ${cwd} to run it in` : message;

type ToFailure = (problem: string, code: string, cause?: unknown) => Error;

function endOf(log: string, failure: ToFailure): number {
  try {
    return logEnd(log).offset;
  } catch (error) {
    if (error instanceof MgpuError) throw error;
    const { code = '', message } = error as NodeJS.ErrnoException;
    throw failure(`its log cannot be read: ${message}`, code, error);
  }
}

function openLog(log: string, failure: ToFailure): number {
  // To open one that nobody reads would take for ever, and all of us with it.
  if (statSync(log, { throwIfNoEntry: false })?.isFIFO())
    throw failure(`its log is a pipe, not a file: ${log}`, 'EINVAL');
  try {
    return openSync(log, 'a', 0o640);
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException;
    throw failure(`its log cannot be written: ${message}`, code, error);
  }
}
