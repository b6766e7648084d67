import type { Readable } from 'node:stream';
import type {
  BootReport,
  InstanceOutcome,
  InstanceStatus,
  InstanceVerb,
  JobEvent,
  JobListOptions,
  JobQueue,
  JobRequest,
  JobStatus,
  LogLevel,
  LogRecord,
} from '@mgpu/core';
import type { ConfigReport, IncidentReport, MachineEvent, MachineStatus, TaskEvent, TaskStatus } from '../contract.ts';
import type { LinesEvent } from '../logs/log-broadcasts.ts';
import { Connection, type ControlAddress, type Signalled } from './connection.ts';

export type ControlClientOptions = ControlAddress & {
  /** Milliseconds until an answer has to begin; `up`, `down` and instances may take as long as the machine does. Default 10,000. */
  readonly answerTimeoutMs?: number;
};

/** Which lines of which logs. */
export interface LogOptions {
  /** Kinds, instances, `gpu:1`, `daemon` or `all`. Default: all instances. */
  readonly select?: readonly string[];
  /** The last so many. Default 100, at most 5,000. */
  readonly lines?: number;
  /** How long ago, such as `10m`, or a time in ISO 8601. */
  readonly since?: string;
  readonly until?: string;
  /** Those in which this expression (RE2) matches. */
  readonly grep?: string;
  readonly ignoreCase?: boolean;
  /** Those so severe, or more. */
  readonly level?: LogLevel;
}

/** Lines, and where to go on after them. */
export interface LogPage {
  readonly lines: readonly LogRecord[];
  readonly cursor: string;
}

/**
 * The typed client of a machine, on its control socket or over HTTP; the CLI uses nothing else. Errors of the daemon arrive as they
 * were thrown there; `CONTROL_NOT_RUNNING` when nobody listens, `CONTROL_FORBIDDEN` when another user's daemon does,
 * `CONTROL_NOT_ANSWERING` when the daemon hangs, `CONTROL_CONNECTION_LOST` when it went away in between, and `CORE_SOCKET_PATH` for a
 * path that no socket can have.
 */
export class ControlClient implements JobQueue, AsyncDisposable {
  readonly #connection: Connection;

  constructor({ answerTimeoutMs = 10_000, ...address }: ControlClientOptions) {
    this.#connection = new Connection(address, answerTimeoutMs);
  }

  status(options: Signalled = {}): Promise<MachineStatus> {
    return this.#connection.call('getStatus', 'asked for its status', {}, options);
  }

  /** A snapshot, then everything that happens. Ends without an error when the signal fires or the daemon ends. */
  async *events(options: Signalled = {}): AsyncGenerator<MachineEvent, void> {
    for await (const { event } of this.#connection.stream<MachineEvent>('getEvents', reading, {}, options)) yield event;
  }

  /** What went wrong on the machine, the oldest first: the last `limit` (default 100), of one subject where one is named. */
  incidents({ subject, limit, ...options }: { subject?: string; limit?: number } & Signalled = {}) {
    const query = queryOf({ subject, limit });
    return this.#connection.call<readonly IncidentReport[]>(
      'getIncidents',
      'asked what went wrong',
      { query },
      options,
    );
  }

  /** The configuration in force, secrets left out. */
  config(options: Signalled = {}): Promise<ConfigReport> {
    return this.#connection.call('getConfig', 'asked for its configuration', {}, options);
  }

  /** Starts what is not running; resolves when everything was tried. */
  up(options: Signalled = {}): Promise<BootReport> {
    return this.#connection.call('up', 'starting', {}, { ...options, takesLong: true });
  }

  /** Resolves when every instance is gone; over HTTP when the machine has begun with it. */
  async down({ force = false, ...options }: { force?: boolean } & Signalled = {}): Promise<void> {
    await this.#connection.call('down', 'stopping', { body: { force } }, { ...options, takesLong: true });
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
   * The same for all that selectors name (kinds, instances, `gpu:1`, `all`), in the order in which they use each other; what runs or
   * has completed is not started. Resolves with what came of each.
   */
  operate(
    verb: InstanceVerb,
    select: readonly string[],
    { force = false, ...options }: { force?: boolean } & Signalled = {},
  ): Promise<readonly InstanceOutcome[]> {
    const doing = `asked to ${verb} ${select.join(', ')}`;
    const asked = { body: { select, force } };
    return this.#connection.call(`${verb}Instances`, doing, asked, { ...options, takesLong: true });
  }

  /**
   * Stops it, letting work in hand end, and keeps it from starting until what this resolves to is disposed of, or we end in
   * whatever way; then it starts again if it is wanted. Resolves when it is gone. On the socket alone.
   */
  async holdInstance(id: string, { why, signal }: { why: string } & Signalled): Promise<Disposable> {
    // The signal ends the waiting, not what has been got.
    const over = new AbortController();
    const callOff = () => over.abort(signal?.reason);
    signal?.addEventListener('abort', callOff);
    if (signal?.aborted) callOff();
    try {
      const asked = { params: { id }, body: { why } };
      const options = { signal: over.signal, takesLong: true };
      const response = await this.#connection.open('holdInstance', `asked to hold ${id}`, asked, options);
      response.on('error', () => {}).resume(); // whoever ends it: the hold is over
      return { [Symbol.dispose]: () => void response.destroy() };
    } finally {
      signal?.removeEventListener('abort', callOff);
    }
  }

  /** The last lines of many logs, in the order of time. */
  logs({ signal, ...options }: LogOptions & Signalled = {}): Promise<LogPage> {
    return this.#connection.call(
      'getLogs',
      'asked for its logs',
      { query: queryOf(options) },
      { signal, takesLong: true },
    );
  }

  /**
   * The same, and what follows: lines with the cursor after which to go on (`after`). Ends without an error when the signal fires or
   * the daemon ends.
   */
  async *followLogs({ signal, after, ...options }: Omit<LogOptions, 'until'> & { after?: string } & Signalled = {}) {
    const headers = after === undefined ? {} : { 'last-event-id': after };
    const asked = { query: queryOf(options), headers };
    const messages = this.#connection.stream<LinesEvent>('followLogs', 'its logs were followed', asked, { signal });
    for await (const { event, id = '' } of messages) yield { lines: event.data, cursor: id } satisfies LogPage;
  }

  async submit(job: JobRequest, options: Signalled = {}): Promise<string> {
    const { id } = await this.#connection.call<{ id: string }>('submitJob', 'taking a job', { body: job }, options);
    return id;
  }

  get(id: string, options: Signalled = {}): Promise<JobStatus> {
    return this.#connection.call('getJob', 'asked for a job', { params: { id } }, options);
  }

  async list({ types, states, limit }: JobListOptions, options: Signalled = {}): Promise<readonly JobStatus[]> {
    // In a query no states would be all of them.
    if (types.length === 0 || states?.length === 0) return [];
    const query = queryOf({ type: types, state: states, limit });
    return this.#connection.call('listJobs', 'asked for its jobs', { query }, options);
  }

  async cancel(id: string, options: Signalled = {}): Promise<void> {
    await this.#connection.call('cancelJob', 'cancelling a job', { params: { id } }, options);
  }

  /** From the job's present state to `ended`. Ends without an error when the signal fires. */
  watch(id: string, options: Signalled = {}): AsyncGenerator<JobEvent, void> {
    return this.#toEnd<JobEvent>('watchJob', id, `job ${id} was watched`, options);
  }

  /** One file that a job has made, as a stream of its bytes. */
  artifact(job: string, name: string, options: Signalled = {}): Promise<Readable> {
    const params = { id: job, '*': name };
    return this.#connection.open('getArtifact', `asked for ${name} of job ${job}`, { params }, options);
  }

  /** Starts an operation, such as `models.pull`. Resolves with its task. */
  startOperation(operation: string, input: object = {}, options: Signalled = {}): Promise<TaskStatus> {
    const asked = { params: { operation }, body: input };
    return this.#connection.call('startOperation', `asked for ${operation}`, asked, options);
  }

  /** The newest first. */
  tasks(options: Signalled = {}): Promise<readonly TaskStatus[]> {
    return this.#connection.call('listTasks', 'asked for its tasks', {}, options);
  }

  task(id: string, options: Signalled = {}): Promise<TaskStatus> {
    return this.#connection.call('getTask', 'asked for a task', { params: { id } }, options);
  }

  /** Resolves when it has ended. */
  cancelTask(id: string, options: Signalled = {}): Promise<TaskStatus> {
    return this.#connection.call(
      'cancelTask',
      'cancelling a task',
      { params: { id } },
      { ...options, takesLong: true },
    );
  }

  /** From where it has got to `ended`. Ends without an error when the signal fires. */
  watchTask(id: string, options: Signalled = {}): AsyncGenerator<TaskEvent, void> {
    return this.#toEnd<TaskEvent>('watchTask', id, `task ${id} was watched`, options);
  }

  /** Ends what is under way. */
  async close(): Promise<void> {
    this.#connection.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #instance(id: string, verb: InstanceVerb, body: object, options: Signalled): Promise<InstanceStatus> {
    const asked = { params: { id }, body };
    return this.#connection.call(`${verb}Instance`, `asked to ${verb} ${id}`, asked, { ...options, takesLong: true });
  }

  async *#toEnd<T extends { event: string }>(
    endpoint: 'watchJob' | 'watchTask',
    id: string,
    doing: string,
    options: Signalled,
  ): AsyncGenerator<T, void> {
    for await (const { event } of this.#connection.stream<T>(endpoint, doing, { params: { id } }, options)) {
      yield event;
      if (event.event === 'ended') return;
    }
    if (!options.signal?.aborted) throw this.#connection.lost(doing);
  }
}

const reading = 'its events were read';

type QueryValue = string | number | boolean | readonly string[] | undefined;

function queryOf(values: Readonly<Record<string, QueryValue>>): URLSearchParams {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values))
    for (const each of Array.isArray(value) ? value : value === undefined ? [] : [value])
      query.append(name, String(each));
  return query;
}
