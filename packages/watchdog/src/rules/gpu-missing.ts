import type { GpuHealthSample } from '@mgpu/core';
import type { Rule, Verdict } from './verdict.ts';

/** A GPU that this machine should have. */
export interface ExpectedGpu {
  readonly uuid: string;
  /** Comparable form, see `pciBus`: nvidia-smi names a lost GPU by its place only. */
  readonly bus?: string | undefined;
}

/** GPUs that are lost, or that a complete answer leaves out. */
export const gpuMissing =
  (expected: readonly ExpectedGpu[]): Rule<GpuHealthSample> =>
  (history) => {
    const last = history.at(-1);
    if (last === undefined) return [];
    const { problem, gpus } = last;
    const lost = ({ uuid, bus }: ExpectedGpu) =>
      problem?.kind === 'gpu-lost' && ((bus !== undefined && bus === problem.bus) || problem.text.includes(uuid));
    const missing = expected.filter((each) => {
      if (gpus.some(({ uuid }) => uuid === each.uuid)) return false;
      // An answer with a problem leaves out GPUs that are well.
      return problem === undefined || lost(each);
    });
    return missing.map((each): Verdict => {
      const said = lost(each) ? `nvidia-smi said: ${problem?.text}` : `nvidia-smi lists ${gpus.length} other GPUs`;
      return {
        rule: 'gpu-missing',
        scope: 'gpu',
        subject: each.uuid,
        severity: 'critical',
        action: 'quarantine-gpu',
        reason: `${each.uuid} is ${lost(each) ? 'lost' : 'missing'}: ${said}`,
        hint: 'reboot the machine; if it does not come back, check its seat and its power cables',
        evidence: [problem?.text ?? gpus.map(({ uuid }) => uuid).join(', ')],
      };
    });
  };
