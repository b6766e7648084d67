import type { IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import {
  type BootReport,
  type ErrorReport,
  expectSocketPath,
  type InstanceOutcome,
  type InstanceStatus,
  type InstanceVerb,
  type JobEvent,
  type JobListOptions,
  type JobQueue,
  type JobRequest,
  type JobStatus,
  MgpuError,
  reviveError,
  systemClock,
} from '@mgpu/core';
import { EventSourceParserStream } from 'eventsource-parser/stream';
import { type EndpointId, endpoints, pathOf } from './api/endpoints.ts';
import type { Envelope, MachineEvent, MachineStatus } from './contract.ts';
import { daemonProcess } from './daemon-process.ts';
import { ConnectionLostError, DaemonNotRunningError, ForbiddenError, NotAnsweringError } from './errors.ts';

export interface ControlClientOptions {
  /** Path of the daemon's socket: `<root>/run/mgpu.sock`. */
  readonly socketPath: string;
  /** Milliseconds until an answer has to begin; `up` and `down` may take as long as the machine does. Default 10,000. */
  readonly answerTimeoutMs?: number;
}

// An `import` of node:http reads all its exports, among them the getter of WebSocket, which loads undici: 40 ms of CPU.
const http = process.getBuiltinModule('node:http');

/** What is asked for; the rest of a request follows from the endpoint. */
interface Asked {
  readonly params?: Readonly<Record<string, string>>;
  readonly query?: URLSearchParams;
  readonly body?: unknown;
}

interface Signalled {
  readonly signal?: AbortSignal;
}

/**
 * The typed client of the control socket; the CLI uses nothing else. Errors of the daemon arrive as they were thrown
 * there; `CONTROL_NOT_RUNNING` when nobody listens, `CONTROL_FORBIDDEN` when another user's daemon does,
 * `CONTROL_NOT_ANSWERING` when the daemon hangs, `CONTROL_CONNECTION_LOST` when it went away in between, and
 * `CORE_SOCKET_PATH` for a path that no socket can have.
 */
export class ControlClient implements JobQueue, AsyncDisposable {
  readonly #socketPath: string;
  readonly #answerTimeoutMs: number;
  readonly #closed = new AbortController();

  constructor({ socketPath, answerTimeoutMs = 10_000 }: ControlClientOptions) {
    this.#socketPath = socketPath;
    this.#answerTimeoutMs = answerTimeoutMs;
  }

  status(options: Signalled = {}): Promise<MachineStatus> {
    return this.#call<MachineStatus>('getStatus', 'asked for its status', {}, options);
  }

  /** Starts what is not running; resolves when everything was tried. */
  up(options: Signalled = {}): Promise<BootReport> {
    return this.#call<BootReport>('up', 'starting', {}, { ...options, takesLong: true });
  }

  /** Resolves when every instance is gone. */
  async down({ force = false, ...options }: { force?: boolean } & Signalled = {}): Promise<void> {
    await this.#call('down', 'stopping', { body: { force } }, { ...options, takesLong: true });
  }

  /** Resolves when it is ready. */
  startInstance(id: string, options: Signalled = {}): Promise<InstanceStatus> {
    return this.#instance(id, 'start', {}, options);
  }

  /** Lets work in hand end, unless forced. Resolves when it is gone; it stays away until somebody starts it. */
  stopInstance(
    id: string,
    { force = false, ...options }: { force?: boolean } & Signalled = {},
  ): Promise<InstanceStatus> {
    return this.#instance(id, 'stop', { force }, options);
  }

  /** Stops and starts it. Resolves when it is ready. */
  restartInstance(
    id: string,
    { force = false, ...options }: { force?: boolean } & Signalled = {},
  ): Promise<InstanceStatus> {
    return this.#instance(id, 'restart', { force }, options);
  }

  /**
   * The same for all that selectors name (kinds, instances, `gpu:1`, `all`), in the order in which they use each other; what runs or has completed is not started. Resolves
   * with what came of each.
   */
  operate(
    verb: InstanceVerb,
    select: readonly string[],
    { force = false, ...options }: { force?: boolean } & Signalled = {},
  ): Promise<readonly InstanceOutcome[]> {
    const doing = `asked to ${verb} ${select.join(', ')}`;
    return this.#call(`${verb}Instances`, doing, { body: { select, force } }, { ...options, takesLong: true });
  }

  /**
   * Stops it, letting work in hand end, and keeps it from starting until what this resolves to is disposed of, or we end in
   * whatever way; then it starts again if it is wanted. Resolves when it is gone.
   */
  async holdInstance(id: string, { why, signal }: { why: string } & Signalled): Promise<Disposable> {
    const doing = `asked to hold ${id}`;
    // The signal ends the waiting, not what has been got.
    const over = new AbortController();
    const callOff = () => over.abort();
    signal?.addEventListener('abort', callOff);
    if (signal?.aborted) callOff();
    try {
      const asked = { params: { id }, body: { why } };
      const response = await this.#request('holdInstance', asked, { signal: over.signal, takesLong: true });
      if (response.statusCode !== 200) this.#unwrap(await text(response), doing);
      response.on('error', () => {}).resume(); // whoever ends it: the hold is over
      return { [Symbol.dispose]: () => void response.destroy() };
    } catch (cause) {
      throw this.#failure(cause, doing, signal);
    } finally {
      signal?.removeEventListener('abort', callOff);
    }
  }

  /** A snapshot, then everything that happens. Ends without an error when the signal fires or the daemon ends. */
  events(options: Signalled = {}): AsyncIterable<MachineEvent> {
    return this.#stream<MachineEvent>('getEvents', {}, options);
  }

  async submit(job: JobRequest, options: Signalled = {}): Promise<string> {
    const { id } = await this.#call<{ id: string }>('submitJob', 'taking a job', { body: job }, options);
    return id;
  }

  get(id: string, options: Signalled = {}): Promise<JobStatus> {
    return this.#call<JobStatus>('getJob', 'asked for a job', { params: { id } }, options);
  }

  async list({ types, states, limit }: JobListOptions, options: Signalled = {}): Promise<readonly JobStatus[]> {
    // In a query no states would be all of them.
    if (types.length === 0 || states?.length === 0) return [];
    const query = new URLSearchParams();
    for (const type of types) query.append('type', type);
    for (const state of states ?? []) query.append('state', state);
    if (limit !== undefined) query.append('limit', String(limit));
    return this.#call('listJobs', 'asked for its jobs', { query }, options);
  }

  async cancel(id: string, options: Signalled = {}): Promise<void> {
    await this.#call('cancelJob', 'cancelling a job', { params: { id } }, options);
  }

  /** From the job's present state to `ended`. Ends without an error when the signal fires. */
  async *watch(id: string, options: Signalled = {}): AsyncGenerator<JobEvent> {
    for await (const event of this.#stream<JobEvent | { event: 'error'; error: ErrorReport }>(
      'watchJob',
      { params: { id } },
      options,
    )) {
      if (event.event === 'error') throw reviveError(event.error);
      yield event;
      if (event.event === 'ended') return;
    }
    if (!options.signal?.aborted)
      throw new ConnectionLostError({ socketPath: this.#socketPath, doing: `job ${id} was watched` });
  }

  /** Ends what is under way. */
  async close(): Promise<void> {
    this.#closed.abort(new DOMException('the client was closed', 'AbortError'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #instance(id: string, verb: InstanceVerb, body: object, options: Signalled): Promise<InstanceStatus> {
    const asked = { params: { id }, body };
    return this.#call(`${verb}Instance`, `asked to ${verb} ${id}`, asked, { ...options, takesLong: true });
  }

  async #call<D>(
    endpoint: EndpointId,
    doing: string,
    asked: Asked,
    options: Signalled & { takesLong?: boolean },
  ): Promise<D> {
    try {
      const response = await this.#request(endpoint, asked, options);
      return this.#unwrap<D>(await text(response), doing);
    } catch (cause) {
      throw this.#failure(cause, doing, options.signal);
    }
  }

  async *#stream<T extends { event: string }>(
    endpoint: EndpointId,
    asked: Asked,
    { signal }: Signalled,
  ): AsyncGenerator<T> {
    const doing = 'its events were read';
    try {
      const response = await this.#request(endpoint, asked, { signal });
      if (response.statusCode !== 200) {
        this.#unwrap(await text(response), doing);
        return;
      }
      using _response = { [Symbol.dispose]: () => void response.destroy() };
      const bytes = ReadableStream.from<Uint8Array>(response);
      const messages = bytes.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream());
      for await (const { data } of messages) yield JSON.parse(data) as T;
    } catch (cause) {
      if (!signal?.aborted) throw this.#failure(cause, doing, signal);
    }
  }

  async #request(
    endpoint: EndpointId,
    { params, query, body }: Asked,
    { signal, takesLong = false }: { signal?: AbortSignal | undefined; takesLong?: boolean },
  ): Promise<IncomingMessage> {
    expectSocketPath('control', this.#socketPath);
    const ends = signal ? AbortSignal.any([signal, this.#closed.signal]) : this.#closed.signal;
    const answered = new AbortController();
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const { method } = endpoints[endpoint];
    const path = `${pathOf(endpoint, params)}${query === undefined ? '' : `?${query}`}`;
    const headers = body === undefined ? {} : { 'content-type': 'application/json' };
    const sent = http.request(
      { socketPath: this.#socketPath, method, path, headers: { host: 'mgpu', ...headers }, agent: false, signal: ends },
      resolve,
    );
    sent.on('error', reject);
    if (!takesLong) {
      systemClock.sleep(this.#answerTimeoutMs, { signal: answered.signal }).then(
        () => sent.destroy(new LateAnswer()),
        () => {}, // answered
      );
    }
    sent.end(body === undefined ? undefined : JSON.stringify(body));
    try {
      return await promise;
    } finally {
      answered.abort();
    }
  }

  #unwrap<D>(text: string, doing: string): D {
    const answer = asEnvelope(text);
    if (!answer) throw new ConnectionLostError({ socketPath: this.#socketPath, doing });
    if (answer.kind === 'Error') throw reviveError(answer.data as ErrorReport);
    return answer.data as D;
  }

  #failure(cause: unknown, doing: string, signal: AbortSignal | undefined): unknown {
    if (signal?.aborted) return signal.reason;
    if (cause instanceof MgpuError) return cause;
    const code = (cause as NodeJS.ErrnoException).code ?? '';
    const socketPath = this.#socketPath;
    if (code === 'ENOENT' || code === 'ECONNREFUSED') return new DaemonNotRunningError({ socketPath });
    if (code === 'EACCES' || code === 'EPERM') return new ForbiddenError({ socketPath, problem: code });
    // EAGAIN: more connections wait to be taken than the system keeps.
    if (cause instanceof LateAnswer || code === 'EAGAIN') {
      const pid = daemonProcess(socketPath);
      return new NotAnsweringError({ socketPath, doing, waitedMs: this.#answerTimeoutMs, pid }, { cause });
    }
    return new ConnectionLostError({ socketPath, doing }, { cause });
  }
}

/** The answer did not begin in time. */
class LateAnswer extends Error {}

/** Undefined for what no daemon of ours says: the end of one that was cut off, or another server's page. */
function asEnvelope(text: string): Envelope | undefined {
  try {
    const answer = JSON.parse(text) as Partial<Envelope> | null;
    return typeof answer?.kind === 'string' && 'data' in answer ? (answer as Envelope) : undefined;
  } catch {
    return undefined;
  }
}
