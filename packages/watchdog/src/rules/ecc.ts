import type { GpuHealthSample } from '@mgpu/core';
import type { Rule, Verdict } from './verdict.ts';

/** Uncorrected memory errors, counted by the GPU since its driver was loaded. A rise means that results may be wrong. */
export const ecc: Rule<GpuHealthSample> = (history) => {
  const last = history.at(-1);
  return (last?.gpus ?? []).flatMap(({ uuid, eccUncorrected: count, remapPending, remapFailed }): Verdict[] => {
    if (!count) return [];
    const counts = history.flatMap(({ gpus }) => gpus.find((each) => each.uuid === uuid)?.eccUncorrected ?? []);
    const lowest = Math.min(...counts);
    // A row that waits for its remapping is where the errors were: the row-remap rule speaks of it.
    const contained = remapPending === true && remapFailed !== true;
    const rises = count > lowest && !contained;
    return [
      {
        rule: 'ecc',
        scope: 'gpu',
        subject: uuid,
        severity: rises ? 'critical' : 'warning',
        action: rises ? 'drain-gpu' : 'record',
        reason: rises
          ? `the uncorrected memory errors of ${uuid} rose from ${lowest} to ${count}`
          : `${uuid} counts ${count} uncorrected memory errors since its driver was loaded`,
        hint: 'reset the GPU when it is idle: nvidia-smi --gpu-reset; if they come back, replace the card',
        evidence: [`ecc.errors.uncorrected.volatile.total: ${counts.slice(-10).join(', ')}`],
      },
    ];
  });
};
