import { cudaFault } from '@mgpu/core';
import type { EngineFailure } from './engine-failure.ts';
import type { Rule } from './verdict.ts';

export const isPoisoned = ({ code, text }: EngineFailure): boolean =>
  code?.endsWith('_ENGINE_FAULT') || cudaFault(text) === 'poisoned';

/** A CUDA error that sticks: the context never heals, every further job would fail, while HTTP still answers. */
export const cudaPoisoned: Rule<EngineFailure> = (history) => {
  const last = history.at(-1);
  if (last === undefined || !isPoisoned(last)) return [];
  return [
    {
      rule: 'cuda-poisoned',
      scope: 'process',
      subject: last.instance,
      severity: 'error',
      action: 'restart',
      reason: `${last.instance} cannot use its GPU any more: ${last.text.trim().slice(0, 200)}`,
      hint: 'a restart of this instance clears it; if it comes back with every job of a kind, look at the node named',
      evidence: [last.text.slice(0, 300)],
    },
  ];
};
