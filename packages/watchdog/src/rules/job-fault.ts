import { isOutOfMemory } from './cuda-out-of-memory.ts';
import { isPoisoned } from './cuda-poisoned.ts';
import type { EngineFailure } from './engine-failure.ts';
import type { Rule } from './verdict.ts';

/** A job that failed by itself: the engine is well. */
export const jobFault: Rule<EngineFailure> = (history) => {
  const last = history.at(-1);
  if (last?.job === undefined || isOutOfMemory(last) || isPoisoned(last)) return [];
  return [
    {
      rule: 'job-fault',
      scope: 'job',
      subject: last.instance,
      severity: 'info',
      action: 'tell-worker',
      reason: `job ${last.job} failed on ${last.instance}: ${last.text.trim().slice(0, 200)}`,
      hint: 'correct the job',
      evidence: [last.text.slice(0, 300)],
    },
  ];
};
