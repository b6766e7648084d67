import {
  type Clock,
  type Connector,
  type ConnectorBinding,
  type ConnectorFactory,
  type Logger,
  reportError,
} from '@mgpu/core/jobs';
import { Consumer } from './consumer.ts';
import { EngineGate } from './engine-gate.ts';
import { ConnectorInvalidError } from './errors.ts';
import { previewChannel } from './job-names.ts';
import { JobRunner } from './job-runner.ts';
import { JobScripts } from './job-scripts.ts';
import { JobSource } from './queue.ts';
import type { RedisLink } from './redis.ts';
import type { RunningJob } from './running-job.ts';
import type { HostSettings } from './settings.ts';
import type { EngineStatus } from './status-file.ts';
import { Tally } from './tally.ts';

export interface EngineOptions {
  readonly settings: HostSettings;
  readonly binding: ConnectorBinding;
  readonly link: RedisLink;
  readonly clock: Clock;
  readonly log: Logger;
  readonly onChange: () => void;
}

/** One engine with its connector and a consumer for each type of job it does. */
export class Engine {
  readonly consumers: readonly Consumer[];
  readonly tally: Tally;
  readonly #connector: Connector;
  readonly #gate: EngineGate;
  readonly #sources: readonly JobSource[];
  readonly #binding: ConnectorBinding;

  constructor(connector: Connector, { settings, binding, link, clock, log, onChange }: EngineOptions) {
    this.#connector = connector;
    this.#binding = binding;
    this.tally = new Tally(binding.endpoint.instance, clock);
    const { tally } = this;
    const isBusy = () => this.#oldest() !== undefined;
    this.#gate = new EngineGate({ connector, engine: binding.endpoint.instance, clock, isBusy, onChange });
    const { prefix, owner, lockMs, attempts, retryDelayMs, keepJobs, concurrency, machine, artifactsDir } = settings;
    const onError = (error: Error) => {
      if (link.connected) log.warn('BullMQ reports an error', { error });
    };
    const parts = binding.types.map((type) => {
      const { client } = link;
      const source = new JobSource({ type, client, prefix, owner, lockMs, keepJobs, attempts, retryDelayMs, onError });
      const scripts = new JobScripts(link, prefix, type);
      const runner = new JobRunner({
        binding,
        connector,
        gate: this.#gate,
        tally,
        scripts,
        machine,
        artifactsDir,
        clock,
        log,
        isConnected: () => link.connected,
        publishPreview: (job, { mediaType, data }) =>
          client.publish(
            previewChannel(prefix, job),
            JSON.stringify({ mediaType, data: Buffer.from(data).toString('base64') }),
          ),
        oldest: () => this.#oldest(),
      });
      return {
        source,
        consumer: new Consumer({ source, scripts, runner, gate: this.#gate, tally, concurrency, clock, log }),
      };
    });
    this.consumers = parts.map(({ consumer }) => consumer);
    this.#sources = parts.map(({ source }) => source);
  }

  get status(): EngineStatus {
    const { reason, fault, isOpen } = this.#gate;
    return {
      engine: this.#binding.endpoint.instance,
      kind: this.#binding.kind,
      types: this.#binding.types,
      ready: isOpen,
      ...(reason === undefined ? {} : { reason }),
      ...(fault === undefined ? {} : { fault }),
    };
  }

  get running(): readonly RunningJob[] {
    return this.consumers.flatMap(({ running }) => [...running.values()]);
  }

  /** Runs until `signal` fires and the consumers are drained. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#gate.watch(signal), ...this.consumers.map((each) => each.run())]);
  }

  /** Stops waiting for jobs. */
  async closeSources(): Promise<void> {
    await Promise.all(this.#sources.map((each) => each.close()));
  }

  async closeConnector(): Promise<void> {
    await this.#connector.close();
  }

  #oldest(): RunningJob | undefined {
    return this.consumers
      .map(({ oldest }) => oldest)
      .filter((each) => each !== undefined)
      .sort((a, b) => a.taken.takenAt - b.taken.takenAt)[0];
  }
}

/** Throws `WORKER_CONNECTOR_INVALID`. */
export async function loadConnector({ module, endpoint }: ConnectorBinding, log: Logger): Promise<Connector> {
  const refuse = (problem: string, cause?: unknown) =>
    new ConnectorInvalidError({ engine: endpoint.instance, module, problem }, { cause });
  let loaded: { default?: ConnectorFactory };
  try {
    loaded = (await import(module)) as { default?: ConnectorFactory };
  } catch (error) {
    throw refuse(reportError(error).message, error);
  }
  if (typeof loaded.default !== 'function') throw refuse('it has no default export to call');
  return loaded.default({ endpoint, log });
}
