import type { Clock } from '../clock.ts';
import type { HealthReport } from '../service/types.ts';
import type { ProbeContext, Probes } from './probe.ts';
import { tryProbe } from './try-probe.ts';

/** What a service says of itself. */
type Reported = Pick<HealthReport, 'health' | 'reason'>;

/** One try of the readiness probe, or of the startup probe; without any, what the service says of itself. */
export async function askHealth(
  { readiness, startup }: Probes,
  options: {
    clock: Clock;
    signal?: AbortSignal | undefined;
    log?: ProbeContext['log'];
    reported: () => Reported;
  },
): Promise<HealthReport> {
  const { clock, signal, log, reported } = options;
  const asked = readiness ?? startup;
  const at = (report: Reported): HealthReport => ({ ...report, checkedAt: new Date(clock.now()).toISOString() });
  if (!asked) return at(reported());
  const answer = await tryProbe(asked.probe, { timeoutMs: asked.timeoutMs ?? 3_000, clock, signal, log });
  if (answer.outcome === 'unknown') return at({ health: 'unknown', reason: answer.reason });
  if (answer.outcome === 'fail') return at({ health: 'notReady', reason: answer.reason });
  if (answer.outcome === 'fatal') return at({ health: 'notReady', reason: answer.error.message });
  // That it answers does not mean that everything it uses does.
  return at(reported().health === 'degraded' ? reported() : { health: 'ready' });
}
