/** A prompt in API format, as far as it has been checked when it reaches the queue. */
export interface PromptNode {
  class_type: string;
  inputs: Record<string, unknown>;
  _meta?: { title?: string };
}
export type Prompt = Record<string, PromptNode>;
export type Link = readonly [node: string, slot: number];

/** ComfyUI takes every list in an input for a link. */
export const isLink = (value: unknown): value is Link => Array.isArray(value);

/** A literal list is wrapped as `{"__value__": [...]}`; anything else is itself. */
export function unwrap(value: unknown): unknown {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return value;
  const wrapped = (value as Record<string, unknown>).__value__;
  return wrapped === undefined ? value : wrapped;
}
