/** Back-off between restarts: `baseMs × factor^n`, at most `capMs`, spread by ± `jitter` (a fraction). */
export interface Backoff {
  readonly baseMs?: number;
  readonly factor?: number;
  readonly capMs?: number;
  readonly jitter?: number;
}

/** How an instance is to recover, as data. Whatever is left out is the watchdog's default. */
export interface Supervision {
  /** `on-failure`: not when its process ended with exit code 0. */
  readonly restart?: 'always' | 'on-failure' | 'never';
  /** Failures within `windowMs` after which it is given up. */
  readonly attempts?: number;
  readonly windowMs?: number;
  readonly backoff?: Backoff;
  /** Milliseconds of being ready after which a failure counts as the first one again. */
  readonly stableAfterMs?: number;
  /** Milliseconds a start may take, on top of what the service itself allows. */
  readonly startDeadlineMs?: number;
  /** Wins over the numbers of the service's own liveness probe. */
  readonly liveness?: { readonly intervalMs?: number; readonly timeoutMs?: number; readonly failures?: number };
  /** Milliseconds without progress after which work in hand counts as stuck. */
  readonly stallAfterMs?: number;
  /** Memory of its whole process tree, in MiB, above which it is restarted between two jobs. */
  readonly memoryMiB?: number;
  /** What becomes of a process that was started by other settings than those in force. Default `keep`: it is only marked. */
  readonly whenOutdated?: 'keep' | 'restart';
}
