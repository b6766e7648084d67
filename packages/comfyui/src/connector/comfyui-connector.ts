import {
  type Clock,
  type Connector,
  type ConnectorFactoryOptions,
  type ConnectorIo,
  type ConnectorJob,
  type ConnectorResult,
  type Endpoint,
  type Logger,
  systemClock,
} from '@mgpu/core/jobs';
import { ComfyUIClient } from '../client/comfyui-client.ts';
import { describeNodeErrors } from '../client/prompt-refusal.ts';
import type { EngineEvent } from '../client/types.ts';
import { ComfyUIInterruptedError } from '../errors.ts';
import { readCheckpoint } from './checkpoint.ts';
import { EventLink } from './event-link.ts';
import { readJobInput } from './job-input.ts';
import { nodeFailure } from './node-failure.ts';
import type { Outcome } from './outcome.ts';
import { FileReader, sortOutputs } from './produced-files.ts';
import { ProgressMeter } from './progress-meter.ts';
import { PromptRun } from './prompt-run.ts';
import { type ConnectorSettings, defaultSettings } from './settings.ts';
import { uploadFiles } from './upload-files.ts';

const maxOutputBytes = 64 * 1024;

/** Takes jobs of type `comfyui` to one ComfyUI; several at once, so that its queue never runs dry. */
export class ComfyUIConnector implements Connector {
  readonly #endpoint: Endpoint;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #settings: ConnectorSettings;
  readonly #client: ComfyUIClient;
  readonly #link: EventLink;
  readonly #files: FileReader;

  constructor(
    { endpoint, log }: ConnectorFactoryOptions,
    settings: Partial<ConnectorSettings> = {},
    clock = systemClock,
  ) {
    this.#endpoint = endpoint;
    this.#log = log;
    this.#clock = clock;
    this.#settings = { ...defaultSettings, ...settings };
    this.#client = new ComfyUIClient(endpoint);
    this.#link = new EventLink(this.#client, { clock, log, openMs: this.#settings.openMs });
    this.#files = new FileReader(this.#client, endpoint.local);
  }

  async ready(signal: AbortSignal): Promise<void> {
    for (let pauseMs = 50; ; pauseMs = Math.min(pauseMs * 2, 200)) {
      try {
        await this.#client.queueLength({ signal });
        // So that the first job need not wait for it.
        await this.#link.open(signal);
        return;
      } catch {
        signal.throwIfAborted();
        await this.#clock.sleep(pauseMs, { signal }); // not there yet: asking on is what ready is for
      }
    }
  }

  async run(job: ConnectorJob, io: ConnectorIo): Promise<ConnectorResult> {
    const input = readJobInput(job.input);
    const found = readCheckpoint(job.resumed);
    const meter = new ProgressMeter(input.prompt);
    const onEvent = (event: EngineEvent) => {
      if (event.type === 'preview') return io.preview({ mediaType: event.mediaType, data: event.bytes });
      const progress = meter.see(event);
      if (progress) io.progress(progress);
    };
    const run = new PromptRun(
      {
        engine: this.#endpoint.instance,
        client: this.#client,
        link: this.#link,
        clock: this.#clock,
        settings: this.#settings,
        input,
        io,
        onEvent,
        prepare: () => uploadFiles(this.#client, input.uploads, io.signal),
      },
      found,
    );
    const outcome = await (found ? run.resume() : run.start());
    return this.#finish(outcome, run, io);
  }

  async close(): Promise<void> {
    this.#link.close();
    await this.#client.close();
  }

  async #finish(outcome: Outcome, { promptId, nodeErrors }: PromptRun, io: ConnectorIo): Promise<ConnectorResult> {
    const engine = this.#endpoint.instance;
    if (outcome.end === 'error') throw nodeFailure(engine, outcome.error);
    if (outcome.end === 'interrupted') {
      throw new ComfyUIInterruptedError({ engine, node: outcome.node, fault: 'permanent' });
    }
    const { files, rest } = sortOutputs(outcome.outputs);
    for (const file of files) await io.store(await this.#files.read(file, io.signal));
    const ignored = describeNodeErrors(nodeErrors);
    if (ignored.length > 0) io.log.warn(`outputs of the workflow were left out: ${ignored.join('; ')}`);
    const isSmall = JSON.stringify(rest).length <= maxOutputBytes;
    if (!isSmall) this.#log.warn(`${promptId}: outputs that are no files are over 64 KB and are left out`);
    return {
      output: {
        promptId,
        ...(Object.keys(rest).length > 0 && isSmall ? { outputs: rest } : {}),
        ...(ignored.length > 0 ? { ignored } : {}),
      },
    };
  }
}
