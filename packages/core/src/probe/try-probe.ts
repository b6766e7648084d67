import type { Clock } from '../clock.ts';
import { reportError } from '../errors/mgpu-error.ts';
import { type Probe, type ProbeContext, type ProbeOutcome, probeFail } from './probe.ts';

/** Milliseconds a timer may be late before this process counts as stalled. */
const stallMs = 50;
/** Nobody looks at it; a signal without a reason makes an error with a stack each time. */
const over = 'over';

/**
 * One try within `timeoutMs`; a try that takes longer is a failure, one cancelled from outside is unknown. So is one
 * during which this process itself could not run: then nobody knows whether the answer came in time.
 */
export async function tryProbe(
  probe: Probe,
  options: { timeoutMs: number; clock: Clock; signal?: AbortSignal | undefined; log?: ProbeContext['log'] },
): Promise<ProbeOutcome> {
  const { timeoutMs, clock, signal, log } = options;
  const began = clock.elapsed();
  const cut = new AbortController();
  const done = new AbortController();
  const cutOff = Promise.withResolvers<ProbeOutcome>();
  const end = (outcome: ProbeOutcome) => {
    cutOff.resolve(outcome);
    cut.abort();
  };
  // Not AbortSignal.any: the outer signal lives long, and each of its dependents would stay with it.
  const cancel = () => end({ outcome: 'unknown', reason: 'cancelled' });
  signal?.addEventListener('abort', cancel, { once: true });
  if (signal?.aborted) cancel();
  clock.sleep(timeoutMs, { signal: done.signal }).then(
    () => {
      const stalled = clock.elapsed() - began > 2 * timeoutMs + stallMs;
      end(
        stalled
          ? { outcome: 'unknown', reason: 'this process was too busy to hear an answer' }
          : probeFail(`no answer within ${Math.round(timeoutMs)} ms`),
      );
    },
    () => {}, // answered in time
  );
  try {
    return await Promise.race([attempt(probe, { signal: cut.signal, log }), cutOff.promise]);
  } finally {
    done.abort(over);
    signal?.removeEventListener('abort', cancel);
  }
}

async function attempt(probe: Probe, context: ProbeContext): Promise<ProbeOutcome> {
  try {
    return await probe.attempt(context);
  } catch (error) {
    return { outcome: 'unknown', reason: reportError(error).message };
  }
}
