import { defineError, redact } from '@mgpu/core/jobs';

const megabytes = (bytes: number) => `${Math.round(bytes / 10_000) / 100} MB`;
const seconds = (ms: number) => `${Math.round(ms / 100) / 10} s`;

export const RedisMissingError = defineError<{ instance: string }>({
  code: 'WORKER_REDIS_MISSING',
  message: ({ instance }) => `${instance}: no service of this machine offers a Redis`,
  hint: 'enable services.redis, or set services.redis.url to the one your machines share',
});

export const RedisUrlError = defineError<{ url: string }>({
  code: 'WORKER_REDIS_URL',
  message: ({ url }) => `"${redact(url)}" is not the URL of a Redis`,
  hint: 'use redis://host:6379, rediss://host:6379 or unix:///path/to/redis.sock',
});

export const RedisUnreachableError = defineError<{
  url: string;
  problem: string;
  waitedMs: number;
  /** Of a request that may have arrived all the same: submitting it again with this id adds it once. */
  id?: string;
}>({
  code: 'WORKER_REDIS_UNREACHABLE',
  retryable: true,
  message: ({ url, problem, waitedMs }) =>
    `redis at ${redact(url)} is unreachable: ${problem} (waited ${seconds(waitedMs)})`,
  hint: 'start it, or correct services.redis.url',
});

export const ClientClosedError = defineError<Record<string, never>>({
  code: 'WORKER_CLIENT_CLOSED',
  message: () => 'the job client is closed',
  hint: 'create another one',
});

export const RequestInvalidError = defineError<{ problems: readonly string[] }>({
  code: 'WORKER_REQUEST_INVALID',
  message: ({ problems }) => `the request is not valid: ${problems.join('; ')}`,
  hint: 'correct the named keys',
});

export const RequestTooLargeError = defineError<{ bytes: number; maxBytes: number }>({
  code: 'WORKER_REQUEST_TOO_LARGE',
  message: ({ bytes, maxBytes }) =>
    `the job request has ${megabytes(bytes)} of JSON, more than the ${megabytes(maxBytes)} a queue is for`,
  hint: 'put large data into a file or at an address that the engine can read, and name that in the input',
});

export const OutputTooLargeError = defineError<{ job: string; bytes: number; maxBytes: number }>({
  code: 'WORKER_OUTPUT_TOO_LARGE',
  message: ({ job, bytes, maxBytes }) =>
    `the output of job ${job} has ${megabytes(bytes)} of JSON, more than the ${megabytes(maxBytes)} a queue is for`,
  hint: 'its connector has to store large data as an artifact',
});

export const JobInvalidError = defineError<{ job: string; problems: readonly string[] }>({
  code: 'WORKER_JOB_INVALID',
  message: ({ job, problems }) => `job ${job} cannot be understood: ${problems.join('; ')}`,
  hint: 'correct whoever adds it; what a job may carry is jobRequestSchema of @mgpu/core',
});

export const SettingsInvalidError = defineError<{ path: string; problem: string }>({
  code: 'WORKER_SETTINGS_INVALID',
  message: ({ path, problem }) => `the settings file ${path} cannot be used: ${problem}`,
  hint: 'the worker service writes it at each start; start the worker through it',
});

export const ConnectorInvalidError = defineError<{ engine: string; module: string; problem: string }>({
  code: 'WORKER_CONNECTOR_INVALID',
  message: ({ engine, module, problem }) => `${engine}: the connector ${module} cannot be used: ${problem}`,
  hint: 'its default export has to be a ConnectorFactory of @mgpu/core/jobs',
});

export const JobCancelledError = defineError<{ job: string }>({
  code: 'WORKER_JOB_CANCELLED',
  message: ({ job }) => `job ${job} was cancelled`,
});

export const JobTimeoutError = defineError<{ job: string; timeoutMs: number }>({
  code: 'WORKER_JOB_TIMEOUT',
  message: ({ job, timeoutMs }) => `job ${job} took longer than the ${seconds(timeoutMs)} it was given`,
  hint: 'give it a longer timeoutMs, which counts from the first attempt, or a smaller task',
});

export const JobQuarantinedError = defineError<{ job: string; victims: readonly string[] }>({
  code: 'WORKER_JOB_QUARANTINED',
  message: ({ job, victims }) => `job ${job} is not tried again: it brought down ${victims.join(', ')}`,
  hint: 'run it alone on an engine you can watch; the cause is the last failure',
});

export const JobLostError = defineError<{ job: string }>({
  code: 'WORKER_JOB_LOST',
  retryable: true,
  message: ({ job }) => `job ${job} is no longer ours: it was removed, or another worker took it over`,
});

export const ArtifactSourceError = defineError<{ name: string; problem: string }>({
  code: 'WORKER_ARTIFACT_SOURCE',
  retryable: true,
  message: ({ name, problem }) => `the artifact "${name}" cannot be stored: ${problem}`,
  hint: 'check the output folder of the engine and the free space on the disk',
});
