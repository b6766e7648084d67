import type { Gpu, InstanceStatus } from '@mgpu/core';
import { nearest } from '@mgpu/core';
import { GpuUnknownError, SelectorUnknownError, UsageError } from './errors.ts';

/** As much of an instance as it takes to choose it. */
type Selectable = Pick<InstanceStatus, 'id' | 'kind' | 'gpu'> & Partial<Pick<InstanceStatus, 'state'>>;

/** What there is to choose from. */
export interface Choice<I extends Selectable = InstanceStatus> {
  readonly gpus: readonly Pick<Gpu, 'index'>[];
  readonly instances: readonly I[];
}

/** Which of them somebody means. */
export type Selection = <I extends Selectable>(choice: Choice<I>) => readonly I[];

/**
 * The instances that any of the selectors names: a service, an instance, `gpu:1`, or `all`. A step that has done its work is meant
 * only by its own name. The selection throws `MACHINE_SELECTOR_UNKNOWN` and `MACHINE_GPU_UNKNOWN`.
 */
export function bySelectors(selectors: readonly string[]): Selection {
  return (choice) => {
    const named = selectors.map((selector) => new Set(namedBy(selector, choice)));
    return choice.instances.filter((each) => named.some((those) => those.has(each)));
  };
}

/**
 * The instances of a service on GPUs, which are their numbers, or `all`; a service that runs once for the machine takes no number.
 * The selection throws `MACHINE_SELECTOR_UNKNOWN`, `MACHINE_GPU_UNKNOWN` and `MACHINE_USAGE`.
 */
export function ofService(kind: string, gpus: readonly string[]): Selection {
  return (choice) => {
    const ours = instancesOf(kind, choice);
    const numbers = gpus.filter((gpu) => gpu !== 'all').map((gpu) => gpuOf(gpu, choice.gpus));
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

function namedBy<I extends Selectable>(selector: string, { gpus, instances }: Choice<I>): readonly I[] {
  const busy = instances.filter(({ state }) => state !== 'completed');
  if (selector === 'all') return busy;
  const [, number] = /^gpu:(.*)$/.exec(selector) ?? [];
  if (number !== undefined) {
    const gpu = gpuOf(number, gpus);
    return busy.filter((each) => each.gpu === gpu);
  }
  const exact = instances.filter(({ id }) => id === selector);
  return exact.length > 0 ? exact : instancesOf(selector, { gpus, instances });
}

function instancesOf<I extends Selectable>(kind: string, { instances }: Choice<I>): readonly I[] {
  const ours = instances.filter((each) => each.kind === kind);
  if (ours.length > 0) return ours;
  const known = [...new Set(instances.map((each) => each.kind))].toSorted();
  const words = [...known, ...instances.map(({ id }) => id), 'all'];
  throw new SelectorUnknownError({ selector: kind, near: nearest(kind, words), known });
}

function gpuOf(text: string, gpus: Choice['gpus']): number {
  const index = /^\d{1,3}$/.test(text) ? Number(text) : undefined;
  const known = gpus.map((each) => each.index);
  if (index === undefined || !known.includes(index)) throw new GpuUnknownError({ gpu: text, known });
  return index;
}
