import {
  type BootReport,
  type ErrorReport,
  type JobEvent,
  type JobQueue,
  type JobRequest,
  type JobStatus,
  reviveError,
} from '@mgpu/core';
import { EventSourceParserStream } from 'eventsource-parser/stream';
import { Agent, type Dispatcher, request } from 'undici';
import type { Envelope, MachineEvent, MachineStatus } from './contract.ts';
import { ConnectionLostError, DaemonNotRunningError } from './errors.ts';

export interface ControlClientOptions {
  /** Path of the daemon's socket: `<root>/run/mgpu.sock`. */
  readonly socketPath: string;
}

interface Signalled {
  readonly signal?: AbortSignal;
}

/**
 * The typed client of the control socket; the CLI uses nothing else. Errors of the daemon arrive as they were thrown
 * there; `CONTROL_NOT_RUNNING` when nobody listens, `CONTROL_CONNECTION_LOST` when the daemon went away in between.
 */
export class ControlClient implements JobQueue, AsyncDisposable {
  readonly #socketPath: string;
  readonly #agent: Agent;

  constructor({ socketPath }: ControlClientOptions) {
    this.#socketPath = socketPath;
    // No limit on waiting for an answer: `up` and `down` take as long as the machine does.
    this.#agent = new Agent({ connect: { socketPath }, headersTimeout: 0, bodyTimeout: 0 });
  }

  status(options: Signalled = {}): Promise<MachineStatus> {
    return this.#call<MachineStatus>('GET', '/v1/status', 'asked for its status', undefined, options);
  }

  /** Starts what is not running; resolves when everything was tried. */
  up(options: Signalled = {}): Promise<BootReport> {
    return this.#call<BootReport>('POST', '/v1/up', 'starting', {}, options);
  }

  /** Resolves when every instance is gone. */
  async down({ force = false, ...options }: { force?: boolean } & Signalled = {}): Promise<void> {
    await this.#call('POST', '/v1/down', 'stopping', { force }, options);
  }

  /** A snapshot, then everything that happens, until the signal fires or the daemon ends. */
  events(options: Signalled = {}): AsyncIterable<MachineEvent> {
    return this.#stream<MachineEvent>('/v1/events', options);
  }

  async submit(job: JobRequest, options: Signalled = {}): Promise<string> {
    const { id } = await this.#call<{ id: string }>('POST', '/v1/jobs', 'taking a job', job, options);
    return id;
  }

  get(id: string, options: Signalled = {}): Promise<JobStatus> {
    return this.#call<JobStatus>('GET', `/v1/jobs/${encodeURIComponent(id)}`, 'asked for a job', undefined, options);
  }

  async cancel(id: string, options: Signalled = {}): Promise<void> {
    await this.#call('DELETE', `/v1/jobs/${encodeURIComponent(id)}`, 'cancelling a job', undefined, options);
  }

  async *watch(id: string, options: Signalled = {}): AsyncGenerator<JobEvent> {
    for await (const event of this.#stream<JobEvent | { event: 'error'; error: ErrorReport }>(
      `/v1/jobs/${encodeURIComponent(id)}/events`,
      options,
    )) {
      if (event.event === 'error') throw reviveError(event.error);
      yield event;
      if (event.event === 'ended') return;
    }
    if (!options.signal?.aborted)
      throw new ConnectionLostError({ socketPath: this.#socketPath, doing: `job ${id} was watched` });
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #call<D>(
    method: Dispatcher.HttpMethod,
    path: string,
    doing: string,
    body: unknown,
    { signal }: Signalled,
  ): Promise<D> {
    const response = await this.#request(method, path, doing, body, signal);
    let text: string;
    try {
      text = await response.body.text();
    } catch (cause) {
      throw this.#failure(cause, doing, signal);
    }
    return unwrap<D>(response.statusCode, text);
  }

  async *#stream<T extends { event: string }>(path: string, { signal }: Signalled): AsyncGenerator<T> {
    const doing = 'its events were read';
    const response = await this.#request('GET', path, doing, undefined, signal);
    if (response.statusCode !== 200) {
      unwrap(response.statusCode, await response.body.text());
      return;
    }
    try {
      const bytes = ReadableStream.from<Uint8Array>(response.body);
      const messages = bytes.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream());
      for await (const { data } of messages) yield JSON.parse(data) as T;
    } catch (cause) {
      if (!signal?.aborted) throw this.#failure(cause, doing, signal);
    } finally {
      response.body.destroy();
    }
  }

  async #request(
    method: Dispatcher.HttpMethod,
    path: string,
    doing: string,
    body: unknown,
    signal: AbortSignal | undefined,
  ) {
    try {
      return await request(`http://mgpu${path}`, {
        method,
        dispatcher: this.#agent,
        ...(signal === undefined ? {} : { signal }),
        ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
      });
    } catch (cause) {
      throw this.#failure(cause, doing, signal);
    }
  }

  #failure(cause: unknown, doing: string, signal: AbortSignal | undefined): unknown {
    if (signal?.aborted) return signal.reason;
    const code = (cause as NodeJS.ErrnoException).code ?? '';
    const socketPath = this.#socketPath;
    if (code === 'ENOENT' || code === 'ECONNREFUSED') return new DaemonNotRunningError({ socketPath });
    return new ConnectionLostError({ socketPath, doing }, { cause });
  }
}

function unwrap<D>(status: number, text: string): D {
  const { kind, data } = JSON.parse(text) as Envelope;
  if (status >= 400 || kind === 'Error') throw reviveError(data as ErrorReport);
  return data as D;
}
