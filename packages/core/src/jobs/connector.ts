import type { MgpuError } from '../errors/mgpu-error.ts';
import type { Logger } from '../logs/logger.ts';
import type { Endpoint } from '../service/types.ts';
import type { Artifact } from './job.ts';

/** Where a definition's connector lives and which job types it serves. */
export interface ConnectorDefinition {
  readonly types: readonly string[];
  /** Module whose default export is a `ConnectorFactory`; imported by the worker process. */
  readonly module: URL;
}

/** A connector bound to the engine it is going to drive. */
export interface ConnectorBinding {
  readonly kind: string;
  readonly types: readonly string[];
  /** `file:` URL of the module. */
  readonly module: string;
  readonly endpoint: Endpoint;
}

/** What went wrong with a job decides what happens next. */
export type JobFault =
  /** The job itself is wrong: never again. */
  | 'permanent'
  /** Circumstances: worth another attempt. */
  | 'retryable'
  /** The engine is broken: another attempt elsewhere, and the engine is reported. */
  | 'engine-fault';

/** Progress of a running job, as it is streamed to whoever watches. */
export interface JobProgress {
  /** 0 to 100. */
  readonly percent: number;
  /** What is being done, e.g. the node's id. */
  readonly node?: string;
  readonly step?: number;
  readonly steps?: number;
}

/** A small picture of the work so far; only the newest matters. */
export interface JobPreview {
  readonly mediaType: string;
  readonly data: Uint8Array;
}

/** A file an engine made: on this machine, or to be read from a stream. */
export interface ProducedFile {
  /** Relative path with `/`; made safe and unique by the store. */
  readonly name: string;
  readonly mediaType?: string;
  /** Which part of the job made it, e.g. `{ node: '9', key: 'images' }`. */
  readonly origin?: Readonly<Record<string, string>>;
  readonly source: { readonly path: string } | { readonly stream: AsyncIterable<Uint8Array> };
}

/** The job as its connector gets it. */
export interface ConnectorJob {
  readonly id: string;
  readonly type: string;
  readonly input: unknown;
  /** Counted from 1. */
  readonly attempt: number;
  /** What `checkpoint` saved last, when that attempt did not come to an end (its worker stopped or died); undefined otherwise. */
  readonly resumed: unknown;
}

/** What a connector may do while it works on a job. */
export interface ConnectorIo {
  /**
   * Fires on cancel, timeout, loss of the job and shutdown of the worker. Only a `JobHandoverError` as its reason leaves the
   * work running in the engine, for whoever takes the job next; any other asks to end it there.
   */
  readonly signal: AbortSignal;
  readonly log: Logger;
  progress(progress: JobProgress): void;
  preview(preview: JobPreview): void;
  /** Persists how the job can be found again in the engine; resolves when it is safe. Call it before submitting. */
  checkpoint(state: Readonly<Record<string, unknown>>): Promise<void>;
  /** Copies a file to the artifact store. */
  store(file: ProducedFile): Promise<Artifact>;
}

/** What a connector tells about a finished job besides its artifacts. */
export interface ConnectorResult {
  /** Anything worth keeping that is no file; JSON-safe and small. */
  readonly output?: Readonly<Record<string, unknown>>;
}

/** Takes jobs to one engine. Throws `MgpuError` with `details.fault: JobFault`; without it `retryable` decides. */
export interface Connector {
  run(job: ConnectorJob, io: ConnectorIo): Promise<ConnectorResult>;
  /** Resolves when the engine can take jobs; rejects with the signal's reason. */
  ready(signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

export interface ConnectorFactoryOptions {
  readonly endpoint: Endpoint;
  readonly log: Logger;
}

/** Default export of a connector module. Opens nothing before `ready` or `run`. */
export type ConnectorFactory = (options: ConnectorFactoryOptions) => Connector;

/** Which way to go after this error. */
export function faultOf(error: MgpuError): JobFault {
  const { fault } = error.details;
  if (fault === 'permanent' || fault === 'retryable' || fault === 'engine-fault') return fault;
  return error.retryable ? 'retryable' : 'permanent';
}
