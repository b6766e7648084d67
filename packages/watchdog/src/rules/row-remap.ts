import type { GpuHealthSample } from '@mgpu/core';
import type { Rule, Verdict } from './verdict.ts';

/** Memory rows that the GPU wants to replace by spare ones: at its next reset, or not any more. */
export const rowRemap: Rule<GpuHealthSample> = (history) =>
  (history.at(-1)?.gpus ?? []).flatMap(({ uuid, remapPending, remapFailed }): Verdict[] => {
    const evidence = [`remapped_rows.pending: ${remapPending}`, `remapped_rows.failure: ${remapFailed}`];
    const common = { rule: 'row-remap', scope: 'gpu', subject: uuid, evidence } as const;
    if (remapFailed)
      return [
        {
          ...common,
          severity: 'critical',
          action: 'quarantine-gpu',
          reason: `${uuid} could not remap a broken row of its memory`,
          hint: 'the card needs to be replaced',
        },
      ];
    if (!remapPending) return [];
    return [
      {
        ...common,
        severity: 'warning',
        action: 'record',
        reason: `${uuid} waits for a reset to remap a broken row of its memory`,
        hint: 'reset the GPU at the next idle time: nvidia-smi --gpu-reset',
      },
    ];
  });
