import type { Image } from '../../pictures/image.ts';
import { noAttribute, pyItem } from '../../python/values.ts';
import type { Latent, Mask, ModelHandle } from '../tensors.ts';

type Linked = Image | Mask | Latent | ModelHandle;

/** How a node first touches an input, and so what it raises when a literal stands in the place of a link. */
type Touch = (literal: unknown) => never;

/** `input.name` */
export const attribute =
  (name: string): Touch =>
  (literal) => {
    throw noAttribute(literal, name);
  };

/** `input[key].name` */
export const item =
  (key: string | number, name: string): Touch =>
  (literal) => {
    throw noAttribute(pyItem(literal, key), name);
  };

/** An input that a link must bring: validation lets literals of any type pass there, the node fails on them. */
export function linked<Kind extends Linked['kind']>(
  inputs: Record<string, unknown>,
  name: string,
  kind: Kind,
  touch: Touch,
): Extract<Linked, { kind: Kind }> {
  const value = inputs[name] as Linked | null | undefined;
  return value?.kind === kind ? (value as Extract<Linked, { kind: Kind }>) : touch(value);
}
