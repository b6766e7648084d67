import type { Clock } from '../clock.ts';
import { StartTimeoutError } from '../errors/core-errors.ts';
import { lastLines } from '../instance-log/last-lines.ts';
import type { ProbeContext, StartupProbe } from './probe.ts';
import { tryProbe } from './try-probe.ts';

/** Asks until the answer is yes. Throws `CORE_START_TIMEOUT`, a fatal answer's error, or the signal's reason. */
export async function waitUntilReady(
  startup: StartupProbe,
  options: { instance: string; clock: Clock; signal: AbortSignal; log?: ProbeContext['log'] },
): Promise<void> {
  const { probe, deadlineMs, intervalMs = 100, timeoutMs = 5_000 } = startup;
  const { instance, clock, signal, log } = options;
  const began = clock.elapsed();
  let last: string | undefined;
  for (;;) {
    const left = began + deadlineMs - clock.elapsed();
    if (left <= 0) {
      throw new StartTimeoutError({
        instance,
        waitedMs: deadlineMs,
        probe: probe.description,
        last: last ?? 'nothing',
        // A log that cannot be read must not hide why the start failed.
        lastLines: log ? await lastLines(log.file, log).catch(() => []) : [],
        ...(log ? { log: log.file } : {}),
      });
    }
    const answer = await tryProbe(probe, { timeoutMs: Math.min(timeoutMs, left), clock, signal, log });
    signal.throwIfAborted();
    if (answer.outcome === 'ok') return;
    if (answer.outcome === 'fatal') throw answer.error;
    // The last try is cut short by the deadline: that it did not answer in the rest of the time is no news.
    if (last === undefined || clock.elapsed() < began + deadlineMs) last = answer.reason;
    await clock.sleep(Math.min(intervalMs, Math.max(0, began + deadlineMs - clock.elapsed())), { signal });
  }
}
