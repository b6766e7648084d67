import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** With the boot id it names a process for ever. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks after boot. */
  readonly startTime: number;
}

/** One row of the kernel's process table (`/proc/<pid>/stat`, see proc(5)). */
export interface ProcessFacts extends ProcessIdentity {
  readonly parent: number;
  readonly group: number;
  readonly session: number;
  /** Z is a zombie, D hangs in the kernel. */
  readonly state: string;
}

let thisBoot: string | undefined;

/** The kernel's id of this boot; undefined where there is no `/proc`. */
export function bootId(): string | undefined {
  thisBoot ??= read('/proc/sys/kernel/random/boot_id')?.trim();
  return thisBoot;
}

/** Undefined when there is no such process (or no `/proc`). */
export function readProcess(pid: number): ProcessFacts | undefined {
  const stat = read(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  // The command name may hold spaces and parentheses: the fields begin behind the last one.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state = '', parent, group, session] = fields;
  return {
    pid,
    state,
    parent: Number(parent),
    group: Number(group),
    session: Number(session),
    startTime: Number(fields[19]),
  };
}

/** Every living process; zombies are left out, they hold nothing. */
export function listProcesses(): ProcessFacts[] {
  let entries: string[];
  try {
    entries = readdirSync('/proc');
  } catch {
    return []; // no /proc on this system
  }
  return entries
    .filter((name) => /^\d+$/.test(name))
    .map((name) => readProcess(Number(name)))
    .filter((facts): facts is ProcessFacts => facts !== undefined && facts.state !== 'Z');
}

/** The assignments a process was started with; none when it erased them, or when they are not for us to read. */
export function environmentOf(pid: number): string[] {
  return (
    read(`/proc/${pid}/environ`)
      ?.split('\0')
      .filter((each) => /^\w+=/.test(each)) ?? []
  );
}

/** Whether there is a process of that number and that start time; a zombie is none. */
export function isAlive({ pid, startTime }: ProcessIdentity): boolean {
  const facts = readProcess(pid);
  return facts !== undefined && facts.startTime === startTime && facts.state !== 'Z';
}

/** The program file of a process; undefined when it is gone or belongs to somebody else. */
export function executableOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/exe`);
  } catch {
    return undefined;
  }
}

/** The command line of a process, for people. */
export function commandLineOf(pid: number): string | undefined {
  return read(`/proc/${pid}/cmdline`)?.split('\0').join(' ').trim().slice(0, 200);
}

/** Sends a signal only if pid still is the process that started at `startTime`. False when it was not sent. */
export function signalProcess(target: ProcessIdentity, signal: NodeJS.Signals): boolean {
  if (target.pid <= 1 || readProcess(target.pid)?.startTime !== target.startTime) return false;
  try {
    process.kill(target.pid, signal);
    return true;
  } catch {
    return false; // it ended in between, or is not ours to signal
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined; // gone between listing and reading, or not readable for us
  }
}
