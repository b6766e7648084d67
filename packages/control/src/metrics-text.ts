import type { MachineMeasures } from './contract.ts';

/** A machine in Prometheus' text format 0.0.4. The library comes with the first call: whoever asks for none does not wait for it. */
export async function metricsText(measures: MachineMeasures): Promise<string> {
  const { renderMetrics } = await import('./render-metrics.ts');
  return await renderMetrics(measures);
}
