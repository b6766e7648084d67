import { redact } from '../logs/redact.ts';

const brand = Symbol.for('@mgpu/core/error');

/** Everything an error says about itself besides its message. */
export interface MgpuErrorOptions {
  /** Stable, documented name to match on, e.g. `CORE_PORT_IN_USE`. */
  readonly code: string;
  /** Whether the same request may succeed later without anybody changing anything. Default false. */
  readonly retryable?: boolean;
  /** Observed values, JSON-safe. */
  readonly details?: Readonly<Record<string, unknown>>;
  /** What to do about it, one sentence. */
  readonly hint?: string;
  readonly cause?: unknown;
}

/** What an error looks like in status, in `--json` output and on the control socket. */
export interface ErrorReport {
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
  readonly retryable: boolean;
  readonly details?: Readonly<Record<string, unknown>>;
  readonly cause?: ErrorReport;
}

/**
 * The one error type of every package. Match on `code` (two copies of the library may be loaded, so `instanceof`
 * works across copies by a global symbol).
 */
export class MgpuError extends Error {
  readonly code: string;
  readonly retryable: boolean;
  readonly details: Readonly<Record<string, unknown>>;
  readonly hint: string | undefined;
  readonly [brand] = true;

  constructor(message: string, options: MgpuErrorOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'MgpuError';
    this.code = options.code;
    this.retryable = options.retryable ?? false;
    this.details = options.details ?? {};
    this.hint = options.hint;
  }

  /** In JSON an error is its report: an `Error` by itself would be without its message. */
  toJSON(): ErrorReport {
    return reportError(this);
  }

  /** A class made by `defineError` recognises its code, `MgpuError` itself whatever carries the brand. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    if (typeof value !== 'object' || value === null || !(brand in value)) return false;
    // biome-ignore lint/complexity/noThisInStatic: the class on the right-hand side of instanceof, not this one
    const { code } = this as { readonly code?: string };
    return code === undefined || (value as { code?: unknown }).code === code;
  }
}

/** Longer chains of causes than this are circles. */
const maxCauses = 16;

/** The error as plain data: nothing of it is lost, causes included, but secrets: reports are shown, kept and sent. */
export function reportError(error: unknown): ErrorReport {
  return redact(report(error, 0));
}

function report(error: unknown, depth: number): ErrorReport {
  const causeOf = ({ cause }: Error) =>
    cause === undefined || depth >= maxCauses ? {} : { cause: report(cause, depth + 1) };
  if (error instanceof MgpuError) {
    return {
      code: error.code,
      message: error.message,
      retryable: error.retryable,
      ...(error.hint === undefined ? {} : { hint: error.hint }),
      ...(Object.keys(error.details).length === 0 ? {} : { details: error.details }),
      ...causeOf(error),
    };
  }
  if (error instanceof AggregateError && error.errors.length > 0 && depth < maxCauses) {
    const messages = error.errors.map((each) => report(each, depth + 1).message);
    return {
      code: 'CORE_UNEXPECTED',
      message: [error.message, ...messages].filter(Boolean).join('; '),
      retryable: false,
    };
  }
  if (error instanceof Error) {
    const code = (error as NodeJS.ErrnoException).code;
    return {
      code: 'CORE_UNEXPECTED',
      message: error.message || error.name,
      retryable: false,
      ...(code === undefined ? {} : { details: { errno: code } }),
      ...causeOf(error),
    };
  }
  return { code: 'CORE_UNEXPECTED', message: String(error), retryable: false };
}

/** An error that crossed a process border, back as a value to throw. */
export function reviveError(report: ErrorReport): MgpuError {
  const { code, message, retryable, details, hint, cause } = report;
  return new MgpuError(message, {
    code,
    retryable,
    ...(details === undefined ? {} : { details }),
    ...(hint === undefined ? {} : { hint }),
    ...(cause === undefined ? {} : { cause: reviveError(cause) }),
  });
}

/** Any thrown value as an `MgpuError`, the original kept as its cause. */
export function toMgpuError(error: unknown, context: string): MgpuError {
  if (error instanceof MgpuError) return error;
  return new MgpuError(`${context}: ${reportError(error).message}`, { code: 'CORE_UNEXPECTED', cause: error });
}
