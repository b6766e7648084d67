import type { GpuHealthSample, GpuProblem } from '@mgpu/core';
import { machine, type Rule } from './verdict.ts';

const meanings: Readonly<Partial<Record<GpuProblem['kind'], { reason: string; hint: string }>>> = {
  'container-lost-gpu': {
    reason: 'this container lost its access to the GPUs, which are well',
    hint: 'recreate the container; `nvidia-ctk` documents the cgroup setting that prevents it',
  },
  'driver-mismatch': {
    reason: 'the loaded NVIDIA driver and its library are of different versions',
    hint: 'reboot the machine, or reload the driver',
  },
  'no-driver': { reason: 'there is no NVIDIA driver to talk to', hint: 'reboot, or install the driver anew' },
};

/** Faults of driver or container that no restart of a service can cure. */
export const driverUnusable: Rule<GpuHealthSample> = (history) => {
  const problem = history.at(-1)?.problem;
  const meaning = problem && meanings[problem.kind];
  if (!meaning) return [];
  return [
    {
      rule: 'driver-unusable',
      scope: 'host',
      subject: machine,
      severity: 'critical',
      action: 'stop-intake',
      reason: `${meaning.reason}: ${problem.text}`,
      hint: meaning.hint,
      evidence: [problem.text],
    },
  ];
};
