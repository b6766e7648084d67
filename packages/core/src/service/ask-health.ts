import type { Clock } from '../clock.ts';
import type { ProbeContext, Probes } from '../probe/probe.ts';
import { tryProbe } from '../probe/try-probe.ts';
import type { HealthClaim } from './types.ts';

/** One try of the readiness probe, or of the startup probe; undefined without any. */
export async function askHealth(
  { readiness, startup }: Probes,
  options: { clock: Clock; signal?: AbortSignal | undefined; log?: ProbeContext['log'] },
): Promise<HealthClaim | undefined> {
  const asked = readiness ?? startup;
  if (!asked) return undefined;
  const answer = await tryProbe(asked.probe, { timeoutMs: asked.timeoutMs ?? (readiness ? 3_000 : 5_000), ...options });
  if (answer.outcome === 'ok') return { health: 'ready' };
  if (answer.outcome === 'unknown') return { health: 'unknown', reason: answer.reason };
  return { health: 'notReady', reason: answer.outcome === 'fail' ? answer.reason : answer.error.message };
}
