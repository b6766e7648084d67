import type { Clock } from '../clock.ts';
import type { ProbeContext, RunningProbe } from './probe.ts';
import { tryProbe } from './try-probe.ts';
import { untilNextTry } from './until-next-try.ts';

/** What readiness turned to, and why. */
export type ReadinessChange = { readonly health: 'ready' } | { readonly health: 'notReady'; readonly reason: string };

/** Keeps asking until the signal fires and reports each change after its threshold. `unknown` answers change nothing. */
export async function watchReadiness(
  readiness: RunningProbe,
  options: {
    clock: Clock;
    signal: AbortSignal;
    initially: 'ready' | 'notReady' | 'unknown';
    log?: ProbeContext['log'];
    onChange: (change: ReadinessChange) => void;
    /** The try that began then said yes (monotonic milliseconds). */
    onYes?: (began: number) => void;
  },
): Promise<void> {
  const { probe, intervalMs = 5_000, timeoutMs = 3_000, failures = 3, successes = 1 } = readiness;
  const { clock, signal, log, onChange, onYes } = options;
  let health = options.initially;
  let streak = { ok: 0, fail: 0 };
  while (!signal.aborted) {
    const began = clock.elapsed();
    const answer = await tryProbe(probe, { timeoutMs, clock, signal, log });
    if (signal.aborted) return;
    if (answer.outcome === 'ok') {
      streak = { ok: streak.ok + 1, fail: 0 };
      onYes?.(began);
    } else if (answer.outcome !== 'unknown') streak = { ok: 0, fail: streak.fail + 1 };
    if (answer.outcome === 'ok' && health !== 'ready' && streak.ok >= successes) {
      health = 'ready';
      onChange({ health });
    }
    if (answer.outcome === 'fail' || answer.outcome === 'fatal') {
      // With nothing known yet the first no is news; later a single one is not. Another reason is news again.
      if (health !== 'ready' || streak.fail >= failures) {
        health = 'notReady';
        onChange({ health, reason: answer.outcome === 'fail' ? answer.reason : answer.error.message });
      }
    }
    await untilNextTry(clock, { intervalMs, began, signal });
  }
}
