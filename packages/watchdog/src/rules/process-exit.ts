import type { Rule, Verdict } from './verdict.ts';

/** How a process of an instance ended, with what else is known of it. */
export interface ExitSample {
  /** Monotonic milliseconds. */
  readonly at: number;
  readonly instance: string;
  readonly pid: number;
  /** Null when a signal ended it. */
  readonly code: number | null;
  readonly signal: string | null;
  /** Whether we sent that signal. */
  readonly sentByUs: boolean;
  /** The kernel's line about killing a process of this instance for memory. */
  readonly oomKill?: { readonly limit: 'machine' | 'cgroup'; readonly line: string } | undefined;
}

/** A shell in between says 128 + the signal's number. */
const signalNumbers: Readonly<Record<number, string>> = {
  2: 'SIGINT',
  4: 'SIGILL',
  6: 'SIGABRT',
  7: 'SIGBUS',
  8: 'SIGFPE',
  9: 'SIGKILL',
  11: 'SIGSEGV',
  15: 'SIGTERM',
};

const crashes: Readonly<Record<string, string>> = {
  SIGSEGV: 'crashed with a memory access violation',
  SIGABRT: 'gave up by itself (abort)',
  SIGBUS: 'crashed with a bus error: a file it had mapped may have been cut, or the disk be full',
  SIGILL: 'met an instruction that this CPU does not have',
  SIGFPE: 'crashed with an arithmetic error',
};

/** What an exit code or signal says about why a process ended. */
export const processExit: Rule<ExitSample> = (history) => {
  const last = history.at(-1);
  if (last === undefined || last.sentByUs) return [];
  const { instance, code, oomKill } = last;
  const signal = last.signal ?? (code !== null && code > 128 ? signalNumbers[code - 128] : undefined);
  const ended = code === null ? `signal ${signal}` : `exit code ${code}`;
  const verdict = (reason: string, hint: string, more: Partial<Verdict> = {}): readonly Verdict[] => [
    {
      rule: 'process-exit',
      scope: 'process',
      subject: instance,
      severity: 'error',
      action: 'restart',
      reason: `${instance} ${reason} (${ended})`,
      hint,
      evidence: [`pid ${last.pid}: ${ended}`],
      ...more,
    },
  ];
  if (oomKill) {
    const what =
      oomKill.limit === 'cgroup' ? "the container's memory limit was reached" : 'the machine ran out of memory';
    return verdict(`was killed by the kernel: ${what}`, 'give it more memory, or run fewer instances', {
      rule: 'oom-kill',
      evidence: [oomKill.line],
    });
  }
  if (signal === 'SIGKILL')
    return verdict('was killed, and not by us', 'look for a memory limit of the container, or for who killed it');
  if (signal !== undefined && crashes[signal] !== undefined)
    return verdict(crashes[signal], 'look into its log; after an update, try the version before');
  if (signal === 'SIGTERM' || signal === 'SIGINT')
    return verdict('was told to end, and not by us', 'find out who stops it; `mgpu down` is the way', {
      severity: 'warning',
    });
  if (code === 126 || code === 127)
    return verdict('could not run its program', 'check its installation; a restart does not help', {
      action: 'record',
    });
  if (code === 78)
    return verdict('refuses its configuration', 'correct its configuration; a restart does not help', {
      action: 'record',
    });
  return [];
};
