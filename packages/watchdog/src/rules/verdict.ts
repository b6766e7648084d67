/** What a fault concerns: one job, one instance's process, one GPU, or the machine. */
export type Scope = 'job' | 'process' | 'gpu' | 'host';

export type Severity = 'info' | 'warning' | 'error' | 'critical';

/**
 * What is to be done, from mild to hard. `record`: nothing but say so. `tell-worker`: its worker handles the job.
 * `relieve`: free the engine's memory. `restart`: end this run as failed. `drain-gpu`: no new work, stop when idle.
 * `quarantine-gpu`: stop what runs there, start nothing. `stop-intake`: the machine takes no new jobs.
 */
export type Action = 'record' | 'tell-worker' | 'relieve' | 'restart' | 'drain-gpu' | 'quarantine-gpu' | 'stop-intake';

/** What a rule concluded from samples. The same samples give the same verdict; whoever acts compares with before. */
export interface Verdict {
  /** Name of the rule, e.g. `xid`. */
  readonly rule: string;
  readonly scope: Scope;
  /** Instance id, GPU UUID, or `machine`. */
  readonly subject: string;
  readonly severity: Severity;
  readonly action: Action;
  /** One sentence with the observed value. */
  readonly reason: string;
  /** The cure, one sentence. */
  readonly hint: string;
  /** Lines and values that led here; bounded. */
  readonly evidence: readonly string[];
}
