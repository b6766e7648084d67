import { defineError } from '@mgpu/core';

export const DaemonNotRunningError = defineError<{ socketPath: string }>({
  code: 'CONTROL_NOT_RUNNING',
  message: ({ socketPath }) => `no mgpu daemon is running here (nobody listens on ${socketPath})`,
  hint: 'start it with `mgpu up --detach`, or name the root of a running one with --root',
});

export const DaemonRunningError = defineError<{ socketPath: string; pid: number | undefined }>({
  code: 'CONTROL_ALREADY_RUNNING',
  message: ({ socketPath, pid }) =>
    `an mgpu daemon is running on this root already${pid === undefined ? '' : ` (process ${pid})`}: ${socketPath}`,
  hint: 'use it, stop it with `mgpu down`, or choose another root with --root',
});

export const NotAnsweringError = defineError<{
  socketPath: string;
  doing: string;
  waitedMs: number;
  pid: number | undefined;
}>({
  code: 'CONTROL_NOT_ANSWERING',
  message: ({ socketPath, doing, waitedMs, pid }) =>
    `the daemon at ${socketPath}${pid === undefined ? '' : ` (process ${pid})`} did not answer within ${waitedMs} ms while ${doing}`,
  hint: ({ pid }) =>
    `look into logs/ under the root; if it stays silent, end ${pid === undefined ? 'its process' : `it with \`kill -9 ${pid}\``} and start it again`,
});

export const ForbiddenError = defineError<{ socketPath: string; problem: string }>({
  code: 'CONTROL_FORBIDDEN',
  message: ({ socketPath, problem }) => `the daemon at ${socketPath} is closed to this user (${problem})`,
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

export const ConnectionLostError = defineError<{ socketPath: string; doing: string }>({
  code: 'CONTROL_CONNECTION_LOST',
  retryable: true,
  message: ({ socketPath, doing }) => `the daemon at ${socketPath} went away while ${doing}`,
  hint: 'look at `mgpu status`, and into logs/ under the root',
});
