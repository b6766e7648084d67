import type { MgpuError } from '../errors/mgpu-error.ts';

/**
 * The answer of one try. `unknown` means that the try itself went wrong and says nothing about the target: it never
 * changes a state. `fatal` means that waiting longer cannot help.
 */
export type ProbeOutcome =
  | { readonly outcome: 'ok' }
  | { readonly outcome: 'fail'; readonly reason: string }
  | { readonly outcome: 'unknown'; readonly reason: string }
  | { readonly outcome: 'fatal'; readonly error: MgpuError };

export interface ProbeContext {
  /** Fires when the try has used up its time, or nobody wants the answer any more. */
  readonly signal: AbortSignal;
  /** Where the instance's output of this run begins, a logical offset; undefined for services without a process. */
  readonly log?: { readonly file: string; readonly from: number } | undefined;
}

/** A question to ask a service, as a value. A try never throws for a target that says no. */
export interface Probe {
  /** What is asked, for people: `GET http://127.0.0.1:8188/system_stats`. */
  readonly description: string;
  attempt(context: ProbeContext): Promise<ProbeOutcome>;
}

/** Asked while starting: ready when it said yes. */
export interface StartupProbe {
  readonly probe: Probe;
  /** Milliseconds after which the start has failed. */
  readonly deadlineMs: number;
  /** Milliseconds between tries. Default 100. */
  readonly intervalMs?: number;
  /** Milliseconds one try may take. Default 5,000. */
  readonly timeoutMs?: number;
}

/** Asked while running. Readiness moves health between ready and notReady; liveness is for the watchdog. */
export interface RunningProbe {
  readonly probe: Probe;
  /** Milliseconds from the beginning of one try to that of the next. Default 5,000. */
  readonly intervalMs?: number;
  /** Milliseconds one try may take. Default 3,000. */
  readonly timeoutMs?: number;
  /** Failures in a row that count. Default 3. */
  readonly failures?: number;
  /** Successes in a row that count. Default 1. */
  readonly successes?: number;
}

export interface LivenessProbe extends RunningProbe {
  /**
   * A yes of the readiness probe says that it lives, too: this one is asked only when that has said none for `intervalMs`.
   * Wrong where readiness is no answer of the process itself. Default false.
   */
  readonly orReady?: boolean;
}

export interface Probes {
  readonly startup?: StartupProbe;
  readonly readiness?: RunningProbe;
  readonly liveness?: LivenessProbe;
}

export const probeOk: ProbeOutcome = { outcome: 'ok' };
export const probeFail = (reason: string): ProbeOutcome => ({ outcome: 'fail', reason });
