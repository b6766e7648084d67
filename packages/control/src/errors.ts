import { defineError } from '@mgpu/core';

export const DaemonNotRunningError = defineError<{ address: string }>({
  code: 'CONTROL_NOT_RUNNING',
  message: ({ address }) => `no mgpu daemon is running here (nobody listens on ${address})`,
  hint: 'start it with `mgpu up --detach`, or name the root of a running one with --root',
});

export const DaemonRunningError = defineError<{ socketPath: string; pid: number | undefined }>({
  code: 'CONTROL_ALREADY_RUNNING',
  message: ({ socketPath, pid }) =>
    `an mgpu daemon is running on this root already${pid === undefined ? '' : ` (process ${pid})`}: ${socketPath}`,
  hint: 'use it, stop it with `mgpu down`, or choose another root with --root',
});

export const NotAnsweringError = defineError<{
  address: string;
  doing: string;
  waitedMs: number;
  pid: number | undefined;
}>({
  code: 'CONTROL_NOT_ANSWERING',
  message: ({ address, doing, waitedMs, pid }) =>
    `the daemon at ${address}${pid === undefined ? '' : ` (process ${pid})`} did not answer within ${waitedMs} ms while ${doing}`,
  hint: ({ pid }) =>
    `look into logs/ under the root; if it stays silent, end ${pid === undefined ? 'its process' : `it with \`kill -9 ${pid}\``} and start it again`,
});

export const ForbiddenError = defineError<{ address: string; problem: string }>({
  code: 'CONTROL_FORBIDDEN',
  message: ({ address, problem }) => `the daemon at ${address} is closed to this user (${problem})`,
  hint: 'be the user that started it, or root',
});

export const DaemonDiedError = defineError<{ exitCode: number | null; lastLines: readonly string[]; log: string }>({
  code: 'CONTROL_DAEMON_DIED',
  message: ({ exitCode, lastLines }) =>
    `the daemon ended ${exitCode === null ? 'by a signal' : `with exit code ${exitCode}`} without saying why${lastLines.length > 0 ? `: ${lastLines.slice(-3).join(' | ')}` : ''}`,
  hint: ({ log }) => `its output is in ${log}`,
});

/** Why an instance does not run that somebody holds. */
export const HeldError = defineError<{ instance: string; why: string }>({
  code: 'CONTROL_HELD',
  message: ({ instance, why }) => `${instance} is held: ${why}`,
  hint: 'it starts again when that ends, or whoever does it',
});

export const RequestInvalidError = defineError<{ problems: readonly string[] }>({
  code: 'CONTROL_REQUEST_INVALID',
  message: ({ problems }) => `the request is not valid: ${problems.join('; ')}`,
});

export const JobsUnavailableError = defineError<{ reason: string }>({
  code: 'CONTROL_NO_JOBS',
  message: ({ reason }) => `this machine takes no jobs: ${reason}`,
  hint: 'enable services.worker and services.redis, or set services.redis.url',
});

export const ConnectionLostError = defineError<{ address: string; doing: string }>({
  code: 'CONTROL_CONNECTION_LOST',
  retryable: true,
  message: ({ address, doing }) => `the daemon at ${address} went away while ${doing}`,
  hint: 'look at `mgpu status`, and into logs/ under the root',
});

export const UnauthorizedError = defineError<{ problem: string }>({
  code: 'CONTROL_UNAUTHORIZED',
  message: ({ problem }) => `this needs the token of the machine: ${problem}`,
  hint: 'send `Authorization: Bearer <token>`; `mgpu token` on the machine prints it',
});

export const ForeignRequestError = defineError<{ header: 'Host' | 'Origin'; value: string; key: string }>({
  code: 'CONTROL_FOREIGN_REQUEST',
  message: ({ header, value }) => `a request with ${header} "${value}" is not answered here`,
  hint: ({ key }) => `if it is one of yours, add it to ${key}`,
});

export const TooManyRequestsError = defineError<{ most: number }>({
  code: 'CONTROL_TOO_MANY_REQUESTS',
  retryable: true,
  message: ({ most }) => `more than ${most} requests came from one address within a second`,
  hint: 'ask less often, follow `/v1/events`, or raise services.http.requestsPerSecond',
});

export const TooManyStreamsError = defineError<{ most: number }>({
  code: 'CONTROL_TOO_MANY_STREAMS',
  retryable: true,
  message: ({ most }) => `${most} streams are open already`,
  hint: 'close some of them',
});

export const UnprotectedError = defineError<{ host: string }>({
  code: 'CONTROL_UNPROTECTED',
  message: ({ host }) => `http: ${host} can be reached from elsewhere, and services.http.auth is off`,
  hint: 'leave services.http.auth on, or listen on 127.0.0.1',
});

export const TokenUnusableError = defineError<{ source: string; problem: string }>({
  code: 'CONTROL_TOKEN',
  message: ({ source, problem }) => `http: the token in ${source} cannot be used: ${problem}`,
  hint: '`mgpu token --rotate` makes a new one, and `mgpu start http` starts what did not for want of it',
});

/** Over HTTP, what would cut off its own answer. */
export const OwnServiceError = defineError<{ instance: string; verb: string }>({
  code: 'CONTROL_OWN_SERVICE',
  message: ({ instance, verb }) => `${instance} cannot ${verb} itself: this request came over it`,
  hint: ({ instance, verb }) => `\`mgpu ${verb} ${instance}\` on the machine does it`,
});

export const ArtifactUnknownError = defineError<{ job: string; name: string; problem: string }>({
  code: 'CONTROL_ARTIFACT_UNKNOWN',
  message: ({ job, name, problem }) => `job ${job} has no file "${name}" here: ${problem}`,
  hint: 'the result of the job names its files, and the machine that has them',
});

export const RangeOutsideError = defineError<{ name: string; bytes: number; range: string }>({
  code: 'CONTROL_RANGE',
  message: ({ name, bytes, range }) => `"${range}" is no range of ${name}, which has ${bytes} bytes`,
});

export const PreconditionError = defineError<{ name: string }>({
  code: 'CONTROL_PRECONDITION',
  message: ({ name }) => `${name} is not what If-Match or If-Unmodified-Since of the request expect`,
  hint: 'fetch it anew, without them',
});

export const OperationUnknownError = defineError<{ operation: string; known: readonly string[] }>({
  code: 'CONTROL_OPERATION_UNKNOWN',
  message: ({ operation, known }) =>
    `this machine knows no operation "${operation}"; it knows: ${known.join(', ') || 'none'}`,
});

export const TaskUnknownError = defineError<{ task: string }>({
  code: 'CONTROL_TASK_UNKNOWN',
  message: ({ task }) => `there is no task ${task}`,
  hint: 'tasks are forgotten when the daemon ends, and when many have come after them',
});

export const TooManyTasksError = defineError<{ most: number }>({
  code: 'CONTROL_TOO_MANY_TASKS',
  retryable: true,
  message: ({ most }) => `${most} tasks are running already`,
  hint: 'wait for one of them, or cancel it',
});
