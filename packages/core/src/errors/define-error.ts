import { MgpuError } from './mgpu-error.ts';

/** A failure of a package, described once: its code, how it reads and what to do about it. */
export interface ErrorDefinition<D extends Readonly<Record<string, unknown>>> {
  readonly code: string;
  /** Whether the same request may succeed later without anybody changing anything. Default false. */
  readonly retryable?: boolean | ((details: D) => boolean);
  /** Lower case, names the instance, says the observed value. */
  readonly message: (details: D) => string;
  /** The cure, one sentence. */
  readonly hint?: string | ((details: D) => string | undefined);
}

/** A class of errors that all share one code. */
export interface ErrorClass<D extends Readonly<Record<string, unknown>>> {
  readonly code: string;
  new (details: D, options?: { cause?: unknown }): MgpuError & { readonly details: D };
}

const defined = new Set<string>();

/** Defines a failure in five lines; every code defined here must stand in `docs/reference/errors.md`. */
export function defineError<D extends Readonly<Record<string, unknown>>>(
  definition: ErrorDefinition<D>,
): ErrorClass<D> {
  const { code, retryable = false, message, hint } = definition;
  defined.add(code);
  return class extends MgpuError {
    static readonly code = code;
    declare readonly details: D;

    constructor(details: D, options: { cause?: unknown } = {}) {
      const cure = typeof hint === 'function' ? hint(details) : hint;
      super(message(details), {
        code,
        retryable: typeof retryable === 'function' ? retryable(details) : retryable,
        details,
        ...(cure === undefined ? {} : { hint: cure }),
        ...options,
      });
    }
  };
}

/** Every code defined by the packages loaded so far; the documentation is compared with it in both directions. */
export function definedErrors(): readonly { code: string }[] {
  return [...defined].map((code) => ({ code }));
}
