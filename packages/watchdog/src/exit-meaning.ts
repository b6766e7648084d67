/** How the process of an instance ended by itself, with what else is known of it. */
export interface Exit {
  readonly instance: string;
  readonly pid: number;
  /** Null when a signal ended it. */
  readonly code: number | null;
  readonly signal: string | null;
  /** The kernel's line about killing it for memory. */
  readonly oomKill?: { readonly limit: 'machine' | 'cgroup'; readonly line: string } | undefined;
}

/** Why it ended. */
export interface ExitMeaning {
  /** One sentence with the observed value. */
  readonly reason: string;
  readonly evidence: string;
  /** The cure, one sentence. */
  readonly hint: string;
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

/** What an exit code or signal says about why a process ended; undefined when it says nothing. */
export function exitMeaning({ instance, pid, code, signal: sent, oomKill }: Exit): ExitMeaning | undefined {
  const signal = sent ?? (code !== null && code > 128 ? signalNumbers[code - 128] : undefined);
  const ended = code === null ? `signal ${signal}` : `exit code ${code}`;
  const meaning = (why: string, hint: string, evidence = `pid ${pid}: ${ended}`): ExitMeaning => {
    return { reason: `${instance} ${why} (${ended})`, evidence, hint };
  };
  if (oomKill) {
    const what =
      oomKill.limit === 'cgroup' ? "the container's memory limit was reached" : 'the machine ran out of memory';
    return meaning(`was killed by the kernel: ${what}`, 'give it more memory, or run fewer instances', oomKill.line);
  }
  if (signal === 'SIGKILL')
    return meaning('was killed, and not by us', 'look for a memory limit of the container, or for who killed it');
  if (signal !== undefined && crashes[signal] !== undefined)
    return meaning(crashes[signal], 'look into its log; after an update, try the version before');
  if (signal === 'SIGTERM' || signal === 'SIGINT')
    return meaning('was told to end, and not by us', 'find out who stops it; `mgpu down` is the way');
  if (code === 126 || code === 127)
    return meaning('could not run its program', 'check its installation; a restart does not help');
  if (code === 78) return meaning('refuses its configuration', 'correct its configuration; a restart does not help');
  return undefined;
}
