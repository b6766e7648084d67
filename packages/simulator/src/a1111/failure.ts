import { json, type Reply } from '../http.ts';
import { PythonError } from '../python/values.ts';

/** What FastAPI's `HTTPException` is in the program. */
export class HttpException extends Error {
  readonly status: number;
  constructor(status: number, detail: string) {
    super(detail);
    this.status = status;
  }
}

/** A field of a request that is not what it must be. */
export interface FieldProblem {
  readonly loc: readonly (string | number)[];
  readonly msg: string;
  readonly type: string;
}

export class ValidationError extends Error {
  readonly problems: readonly FieldProblem[];
  constructor(problems: readonly FieldProblem[]) {
    super(problems.map(({ msg }) => msg).join('; '));
    this.problems = problems;
  }
}

/** The answer to whatever was thrown, in one form for handled errors and crashes: `error`, `detail`, `body`, `errors`. */
export function failureReply(error: unknown): Reply {
  if (error instanceof ValidationError) return json({ detail: error.problems }, 422);
  if (error instanceof HttpException) {
    return json({ error: 'HTTPException', detail: error.message, body: '', errors: '' }, error.status);
  }
  const type = error instanceof PythonError ? (error.type.split('.').at(-1) as string) : 'RuntimeError';
  return json({ error: type, detail: '', body: '', errors: (error as Error).message }, 500);
}
