import { GpuUnknownError, SelectorUnknownError } from '../errors/core-errors.ts';
import { nearest } from '../errors/nearest.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { InstanceStatus } from '../service/types.ts';

/** As much of an instance as it takes to choose it. */
export type Selectable = Pick<InstanceStatus, 'id' | 'kind' | 'gpu'> & Partial<Pick<InstanceStatus, 'state'>>;

/** What there is to choose from. */
export interface Choice<I extends Selectable = InstanceStatus> {
  readonly gpus: readonly Pick<Gpu, 'index'>[];
  readonly instances: readonly I[];
}

/**
 * The instances that any of the selectors names: a kind, an instance, `gpu:1`, or `all`. A step that has done its work is meant
 * only by its own name or kind. Throws `CORE_SELECTOR_UNKNOWN` and `CORE_GPU_UNKNOWN`.
 */
export function selectInstances<I extends Selectable>(selectors: readonly string[], choice: Choice<I>): readonly I[] {
  const named = selectors.map((selector) => new Set(namedBy(selector, choice)));
  return choice.instances.filter((each) => named.some((those) => those.has(each)));
}

function namedBy<I extends Selectable>(selector: string, { gpus, instances }: Choice<I>): readonly I[] {
  const busy = instances.filter(({ state }) => state !== 'completed');
  if (selector === 'all') return busy;
  const [, number] = /^gpu:(.*)$/.exec(selector) ?? [];
  if (number !== undefined) {
    const gpu = gpuNamed(number, gpus);
    return busy.filter((each) => each.gpu === gpu);
  }
  const exact = instances.filter(({ id }) => id === selector);
  return exact.length > 0 ? exact : instancesOfKind(selector, instances);
}

/** Throws `CORE_SELECTOR_UNKNOWN` when there are none. */
export function instancesOfKind<I extends Selectable>(kind: string, instances: readonly I[]): readonly I[] {
  const ours = instances.filter((each) => each.kind === kind);
  if (ours.length > 0) return ours;
  const known = [...new Set(instances.map((each) => each.kind))].toSorted();
  const words = [...known, ...instances.map(({ id }) => id), 'all'];
  throw new SelectorUnknownError({ selector: kind, near: nearest(kind, words), known });
}

/** The index that a text gives. Throws `CORE_GPU_UNKNOWN` when the machine has no such GPU. */
export function gpuNamed(text: string, gpus: Choice['gpus']): number {
  const index = /^\d{1,3}$/.test(text) ? Number(text) : undefined;
  const known = gpus.map((each) => each.index);
  if (index === undefined || !known.includes(index)) throw new GpuUnknownError({ gpu: text, known });
  return index;
}
