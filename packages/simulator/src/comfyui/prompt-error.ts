/** One entry of a node's `errors`, and the top-level `error` of a refused prompt. */
export interface PromptError {
  readonly type: string;
  readonly message: string;
  readonly details: string;
  readonly extra_info: Record<string, unknown>;
}

export interface NodeErrors {
  readonly errors: readonly PromptError[];
  readonly dependent_outputs: string[];
  readonly class_type: string;
}

export const promptError = (
  type: string,
  message: string,
  details = '',
  extra_info: Record<string, unknown> = {},
): PromptError => ({ type, message, details, extra_info });
