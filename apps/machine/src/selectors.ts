import { type Choice, gpuNamed, instancesOfKind, type Selectable, selectInstances } from '@mgpu/core';
import { UsageError } from './errors.ts';

/** Which of what there is somebody means. */
export type Selection = <I extends Selectable>(choice: Choice<I>) => readonly I[];

/** Those that any of the selectors names. The selection throws `CORE_SELECTOR_UNKNOWN` and `CORE_GPU_UNKNOWN`. */
export function bySelectors(selectors: readonly string[]): Selection {
  return (choice) => selectInstances(selectors, choice);
}

/**
 * The instances of a service on GPUs, which are their numbers, or `all`; a service that runs once for the machine takes no number.
 * The selection throws `CORE_SELECTOR_UNKNOWN`, `CORE_GPU_UNKNOWN` and `MACHINE_USAGE`.
 */
export function ofService(kind: string, gpus: readonly string[]): Selection {
  return (choice) => {
    const ours = instancesOfKind(kind, choice.instances);
    const numbers = gpus.filter((gpu) => gpu !== 'all').map((gpu) => gpuNamed(gpu, choice.gpus));
    const isPerGpu = ours.some(({ gpu }) => gpu !== undefined);
    if (!isPerGpu && numbers.length > 0)
      throw new UsageError({
        problem: `${kind} runs once for the whole machine, and takes no GPU: ${numbers.join(', ')}`,
      });
    if (numbers.length < gpus.length || !isPerGpu) return ours;
    if (numbers.length === 0) {
      const there = ours.map(({ gpu }) => gpu).join(', ');
      throw new UsageError({ problem: `${kind} runs on each GPU: give the number of one (${there}), or all` });
    }
    return numbers.map((gpu) => {
      const there = ours.find((each) => each.gpu === gpu);
      if (there) return there;
      throw new UsageError({
        problem: `${kind} has nothing on GPU ${gpu}; it has: ${ours.map(({ id }) => id).join(', ')}`,
      });
    });
  };
}

/** The instances of a service that is known; none while it is not enabled. */
export function everyOf(kind: string): Selection {
  return ({ instances }) => instances.filter((each) => each.kind === kind);
}
