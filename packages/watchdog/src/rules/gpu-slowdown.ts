import type { GpuHealthSample } from '@mgpu/core';
import { recent } from './recent.ts';
import type { Rule, Verdict } from './verdict.ts';

const windowMs = 10 * 60_000;
/** Of the samples in the window; fewer are peaks. */
const share = 0.6;
const minSamples = 5;

/** A GPU that is slowed by heat or for want of power. Its jobs are right, only late: nothing is stopped for it. */
export const gpuSlowdown: Rule<GpuHealthSample> = (history) => {
  const window = recent(history, windowMs);
  return (history.at(-1)?.gpus ?? []).flatMap(({ uuid, temperatureC }): Verdict[] => {
    const seen = window.flatMap(({ gpus }) => gpus.find((each) => each.uuid === uuid) ?? []);
    const slowed = seen.filter(({ slowdowns }) => slowdowns.length > 0);
    if (seen.length < minSamples || slowed.length < seen.length * share) return [];
    const causes = [...new Set(slowed.flatMap(({ slowdowns }) => slowdowns))].join(', ');
    return [
      {
        rule: 'gpu-slowdown',
        scope: 'gpu',
        subject: uuid,
        severity: 'warning',
        action: 'record',
        reason: `${uuid} was slowed in ${slowed.length} of ${seen.length} samples (${causes}), it is at ${temperatureC ?? 'unknown'} °C`,
        hint: 'check its cooling and its power supply',
        evidence: [`slowed by: ${causes}`],
      },
    ];
  });
};
