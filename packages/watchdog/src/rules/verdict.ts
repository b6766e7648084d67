/** What a fault concerns: one job, one instance's process, one GPU, or the machine. */
export type Scope = 'job' | 'process' | 'gpu' | 'host';

export type Severity = 'info' | 'warning' | 'error' | 'critical';

/** What is to be done about a fault. */
export type Action =
  /** Nothing but say so. */
  | 'record'
  /** Remove old outputs. */
  | 'clean-up'
  /** Its worker handles the job. */
  | 'tell-worker'
  /** Free the engine's memory. */
  | 'relieve'
  /** End this run as failed between two jobs, never during one. */
  | 'restart-when-idle'
  /** End this run as failed. */
  | 'restart'
  /** No new work for this GPU; what runs there ends its job, then stops. */
  | 'drain-gpu'
  /** Stop what runs on this GPU now, and start nothing there. */
  | 'quarantine-gpu'
  /** The machine takes no new jobs. */
  | 'stop-intake';

/** What a rule concluded. The same samples give the same verdict; whoever acts compares with the one before. */
export interface Verdict {
  /** Name of the rule, e.g. `xid`. */
  readonly rule: string;
  readonly scope: Scope;
  /** Instance id, GPU UUID (its PCI bus id where the UUID is not known), or `machine`. */
  readonly subject: string;
  readonly severity: Severity;
  readonly action: Action;
  /** One sentence with the observed value. */
  readonly reason: string;
  /** The cure, one sentence. */
  readonly hint: string;
  /** Lines and values that led here; a few, short. */
  readonly evidence: readonly string[];
}

/**
 * Concludes from the samples of one subject, oldest first, judged at the last one. Pure: no clock, no I/O. None or no
 * samples: no verdict. A rule over states gives its verdict as long as the state lasts, a rule over events at the event.
 */
export type Rule<Sample> = (history: readonly Sample[]) => readonly Verdict[];

export const machine = 'machine';
