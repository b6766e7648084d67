import { cudaFault } from '@mgpu/core';
import type { EngineFailure } from './engine-failure.ts';
import { recent } from './recent.ts';
import type { Rule } from './verdict.ts';

const windowMs = 10 * 60_000;
const limit = 3;

export const isOutOfMemory = ({ code, text }: EngineFailure): boolean =>
  code?.endsWith('_OUT_OF_MEMORY') || cudaFault(text) === 'out-of-memory';

/** CUDA out of memory: free the engine's memory; at the third time in ten minutes that was not enough. */
export const cudaOutOfMemory: Rule<EngineFailure> = (history) => {
  const last = history.at(-1);
  if (last === undefined || !isOutOfMemory(last)) return [];
  const times = recent(history, windowMs).filter(isOutOfMemory);
  const again = times.length >= limit;
  return [
    {
      rule: 'cuda-out-of-memory',
      scope: 'process',
      subject: last.instance,
      severity: again ? 'error' : 'warning',
      action: again ? 'restart' : 'relieve',
      reason: `${last.instance} ran out of GPU memory, ${times.length === 1 ? 'once' : `${times.length} times`} in 10 min`,
      hint: 'use smaller pictures, batches or models, or look for another process on this GPU',
      evidence: times.slice(-limit).map(({ text }) => text.slice(0, 300)),
    },
  ];
};
