import { outOfMemory } from '../../faults/fault-plan.ts';
import { PythonError } from '../../python/values.ts';
import type { NodeClass } from './node.ts';

/** The project's own test node (`test/fixtures/slow_node.py` for the real ComfyUI): sleeps in steps, fails on request. */
export const slowNode: NodeClass = {
  name: 'SlowNode',
  displayName: 'Slow Node (test)',
  category: 'testing',
  module: 'custom_nodes.slow_node',
  outputs: ['IMAGE'],
  inputs: () => ({
    required: {
      image: ['IMAGE'],
      seconds: ['FLOAT', { default: 5, min: 0, max: 3600, step: 0.1 }],
      steps: ['INT', { default: 10, min: 1, max: 10000 }],
    },
    optional: {
      seed: ['INT', { default: 0, min: 0, max: 2 ** 53 }],
      fail_at_step: ['INT', { default: 0, min: 0, max: 10000 }],
      fail_kind: [['error', 'oom'], { default: 'error' }],
    },
  }),
  async run(inputs, context) {
    const steps = inputs.steps as number;
    const start = performance.now();
    for (let step = 1; step <= steps; step++) {
      await context.beforeStep(step);
      const due = start + ((inputs.seconds as number) * 1000 * step) / steps;
      await context.work(Math.max(0, due - performance.now()), true);
      if (step === inputs.fail_at_step) {
        if (inputs.fail_kind === 'oom') throw outOfMemory();
        throw new PythonError('RuntimeError', `SlowNode failed as asked at step ${step}`);
      }
      context.progress(step, steps);
    }
    return { outputs: [inputs.image] };
  },
};
