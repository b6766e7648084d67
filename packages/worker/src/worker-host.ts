import { type Clock, type ConnectorBinding, type Logger, redact, toMgpuError } from '@mgpu/core/jobs';
import type { Consumer } from './consumer.ts';
import { Engine, loadConnector } from './engine.ts';
import { cancelChannel } from './job-names.ts';
import { pause } from './pause.ts';
import { RedisLink, reconnectMs } from './redis.ts';
import { type HostSettings, toConnectorBinding } from './settings.ts';
import { type EngineStatus, type JobInHand, StatusWriter } from './status-file.ts';

export interface WorkerHostOptions {
  readonly settings: HostSettings;
  readonly clock: Clock;
  readonly log: Logger;
}

const letGoMs = 3_000;
const closeMs = 1_000;

/** The worker process: engines, their consumers, the connection they share and what is told about them. */
export class WorkerHost {
  readonly #settings: HostSettings;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #link: RedisLink;
  readonly #status: StatusWriter;
  readonly #stop = new AbortController();
  #engines: readonly Engine[] = [];
  #working: Promise<unknown> = Promise.resolve();
  #broken: readonly EngineStatus[] = [];
  #state: 'starting' | 'running' | 'draining' = 'starting';

  constructor({ settings, clock, log }: WorkerHostOptions) {
    this.#settings = settings;
    this.#clock = clock;
    this.#log = log;
    this.#link = new RedisLink({ url: settings.redis, patient: true });
    const status = () => ({
      state: this.#state,
      redis: {
        state: this.#link.state,
        ...(this.#link.connected
          ? {}
          : { problem: `redis at ${redact(settings.redis)} is unreachable: ${this.#link.problem}` }),
      },
      engines: [...this.#engines.map((each) => each.status), ...this.#broken],
      jobs: this.#jobs(),
      totals: {
        attempts: this.#engines.flatMap(({ tally }) => tally.attempts),
        idle: this.#engines.map(({ tally }) => tally.idle),
      },
    });
    this.#status = new StatusWriter({ path: settings.statusFile, status, clock, log });
  }

  /** Runs until `drain` has ended. */
  async run(): Promise<void> {
    const { signal } = this.#stop;
    const link = this.#link;
    link.onChange(() => {
      if (link.connected) this.#log.info('connected to redis');
      else this.#log.warn(`redis is unreachable: ${link.problem}`);
      this.#status.touch();
    });
    const writing = this.#status.run(signal);
    await this.#loadEngines();
    if (this.#state === 'starting') this.#state = 'running';
    this.#status.touch();
    const cancels = this.#listenForCancels();
    this.#working = Promise.all(this.#engines.map((each) => each.run(signal)));
    await Promise.all([writing, this.#keepLocks(cancels, signal), this.#working]);
    cancels.close();
  }

  /** Ends running jobs within `drainMs`, leaves the others to the next worker, closes everything. */
  async drain(): Promise<void> {
    const { drainMs } = this.#settings;
    this.#state = 'draining';
    this.#status.touch();
    const consumers = this.#engines.flatMap((each) => each.consumers);
    this.#log.info('draining', { jobs: this.#jobs().map(({ id }) => id), drainMs });
    const drained = Promise.all(consumers.map((each) => each.drain()));
    if (!(await this.#within(drainMs, drained))) {
      const left = this.#jobs().map(({ id }) => id);
      for (const each of consumers) each.abandon();
      await this.#within(letGoMs, drained);
      this.#log.warn('left to the next worker', { jobs: left });
    }
    this.#stop.abort();
    const close = async () => {
      await Promise.all(this.#engines.map((each) => each.closeSources()));
      await this.#working; // what was being fetched is given back
      await Promise.all(this.#engines.map((each) => each.closeConnector()));
    };
    await this.#within(closeMs, close());
    this.#link.close();
  }

  async #loadEngines(): Promise<void> {
    const bindings = this.#settings.connectors.map(toConnectorBinding);
    const loaded = await Promise.all(bindings.map((binding) => this.#load(binding)));
    this.#engines = loaded.filter((each) => each instanceof Engine);
    this.#broken = loaded.filter((each): each is EngineStatus => !(each instanceof Engine));
  }

  async #load(binding: ConnectorBinding): Promise<Engine | EngineStatus> {
    const { kind, types, endpoint } = binding;
    const log = this.#log.child({ engine: endpoint.instance });
    try {
      const connector = await loadConnector(binding, log);
      const onChange = () => this.#status.touch();
      const link = this.#link;
      return new Engine(connector, { settings: this.#settings, binding, link, clock: this.#clock, log, onChange });
    } catch (error) {
      const known = toMgpuError(error, `${endpoint.instance}: its connector failed`);
      log.error(known.message, { error: known });
      return { engine: endpoint.instance, kind, types, ready: false, reason: known.message };
    }
  }

  #listenForCancels(): RedisLink {
    const { prefix } = this.#settings;
    const link = this.#link.duplicate();
    const byChannel = new Map(
      this.#engines.flatMap((each) => each.consumers).map((each) => [cancelChannel(prefix, each.type), each]),
    );
    link.client.on('message', (channel, id) => byChannel.get(channel)?.cancel(id));
    if (byChannel.size > 0)
      link.client.subscribe(...byChannel.keys()).catch((error: unknown) => {
        // What is missed here is noticed when the locks are renewed.
        if (!this.#stop.signal.aborted) this.#log.warn('requests to cancel arrive late', { error });
      });
    return link;
  }

  /** Renews at once after a break, and regularly. */
  async #keepLocks(cancels: RedisLink, signal: AbortSignal): Promise<void> {
    const { lockMs } = this.#settings;
    let changed = Promise.withResolvers<void>();
    let calmAt = this.#clock.elapsed() + reconnectMs;
    this.#link.onChange(() => {
      calmAt = this.#clock.elapsed() + reconnectMs;
      changed.resolve();
    });
    while (!signal.aborted) {
      changed = Promise.withResolvers();
      if (this.#link.connected) {
        await this.#eachConsumer('locks could not be renewed', (each) => each.renew());
        // Before that, a job without a lock may be one whose worker is not back yet.
        if (this.#clock.elapsed() >= calmAt)
          await this.#eachConsumer('abandoned jobs could not be looked for', (each) => each.tidy());
      }
      cancels.probe();
      await pause(this.#clock, lockMs / 3, { until: changed.promise, signal });
    }
  }

  async #eachConsumer(problem: string, work: (consumer: Consumer) => Promise<void>): Promise<void> {
    try {
      await Promise.all(this.#engines.flatMap(({ consumers }) => consumers.map(work)));
    } catch (error) {
      if (!this.#stop.signal.aborted) this.#log.warn(problem, { error });
    }
  }

  #jobs(): JobInHand[] {
    return this.#engines.flatMap(({ running, status: { engine } }) =>
      running.map(({ taken, progress, progressAt }) => ({
        id: taken.publicId,
        engine,
        attempt: taken.attempt,
        since: new Date(taken.takenAt).toISOString(),
        progressAt: new Date(progressAt).toISOString(),
        ...(progress === undefined ? {} : { progress }),
      })),
    );
  }

  /** Whether the work ended, well or not, within that time. */
  async #within(ms: number, work: Promise<unknown>): Promise<boolean> {
    let isDone = false;
    const ended = work
      .catch((error: unknown) => this.#log.warn('not everything could be closed', { error }))
      .then(() => {
        isDone = true;
      });
    await pause(this.#clock, ms, { until: ended });
    return isDone;
  }
}
