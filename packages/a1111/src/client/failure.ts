import { type HttpAnswer, parseJson } from '@mgpu/core/http-client';
import { cudaFault, type MgpuError } from '@mgpu/core/jobs';
import {
  A1111BadAnswerError,
  A1111EngineFaultError,
  A1111FailedError,
  A1111NoModelError,
  A1111OutOfMemoryError,
  A1111RefusedError,
  A1111RequestInvalidError,
} from '../errors.ts';
import { failureSchema, problemsSchema } from './answers.ts';

const maxMessageChars = 2_000;
const maxProblems = 5;

/** An answer that is no success, as an error that says whether the request, the moment or the engine is to blame. */
export function failureOf(request: string, url: string, { status, body }: HttpAnswer): MgpuError {
  const value = parseJson(body);
  const invalid = status === 422 ? problemsSchema.safeParse(value).data : undefined;
  if (invalid) {
    const problems = invalid.detail
      .slice(0, maxProblems)
      .map(({ loc, msg }) => `${loc.slice(1).join('.') || 'body'}: ${msg}`);
    return new A1111RequestInvalidError({ request, problems });
  }
  const failure = failureSchema.safeParse(value).data;
  if (status < 500) {
    const detail = failure?.detail ?? (value as { detail?: unknown } | undefined)?.detail;
    return new A1111RefusedError({ request, status, answer: String(detail ?? body).slice(0, 300) });
  }
  if (!failure) {
    return new A1111BadAnswerError({ url, problem: `status ${status} ${body.split('\n')[0]?.slice(0, 200) ?? ''}` });
  }
  return exceptionOf(url, failure.error, failure.errors || String(failure.detail ?? ''));
}

function exceptionOf(url: string, exceptionType: string, message: string): MgpuError {
  const details = { url, exceptionType, exceptionMessage: message.trim().slice(0, maxMessageChars) || 'no message' };
  const fault = cudaFault(`${exceptionType}: ${message}`);
  if (fault === 'poisoned') return new A1111EngineFaultError({ ...details, fault: 'engine-fault' });
  if (fault === 'out-of-memory') return new A1111OutOfMemoryError(details);
  // What any use of a model says that is not there.
  if (exceptionType === 'AttributeError' && message.includes("'NoneType' object"))
    return new A1111NoModelError(details);
  return new A1111FailedError(details);
}
