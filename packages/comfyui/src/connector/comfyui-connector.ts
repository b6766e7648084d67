import {
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
import type { EngineEvent, NodeOutput } from '../client/types.ts';
import { ComfyUIFileMissingError, ComfyUIInterruptedError } from '../errors.ts';
import { type Checkpoint, readCheckpoint } from './checkpoint.ts';
import { isEngineTrouble } from './engine-trouble.ts';
import { EventLink } from './event-link.ts';
import { type ReadJobInput, readJobInput } from './job-input.ts';
import { nodeFailure } from './node-failure.ts';
import type { Outcome } from './outcome.ts';
import { FileReader, sortOutputs } from './produced-files.ts';
import { ProgressMeter } from './progress-meter.ts';
import { PromptRun } from './prompt-run.ts';
import { type ConnectorSettings, defaultSettings } from './settings.ts';
import { uploadFiles } from './upload-files.ts';

const maxOutputBytes = 64 * 1024;

interface JobRun {
  readonly input: ReadJobInput;
  readonly meter: ProgressMeter;
  readonly io: ConnectorIo;
  readonly found: Checkpoint | undefined;
}

/** Takes jobs of type `comfyui` to one ComfyUI; several at once, so that its queue never runs dry. */
export class ComfyUIConnector implements Connector {
  readonly #endpoint: Endpoint;
  readonly #log: Logger;
  readonly #settings: ConnectorSettings;
  readonly #client: ComfyUIClient;
  readonly #link: EventLink;
  readonly #files: FileReader;

  constructor({ endpoint, log }: ConnectorFactoryOptions, settings: Partial<ConnectorSettings> = {}) {
    this.#endpoint = endpoint;
    this.#log = log;
    this.#settings = { ...defaultSettings, ...settings };
    this.#client = new ComfyUIClient(endpoint);
    this.#link = new EventLink(this.#client.address, { clock: systemClock, log, openMs: this.#settings.openMs });
    this.#files = new FileReader(this.#client, endpoint.local);
  }

  async ready(signal: AbortSignal): Promise<void> {
    for (let pauseMs = 50, isFirst = true; ; pauseMs = Math.min(pauseMs * 2, 200), isFirst = false) {
      try {
        await this.#client.queueLength({ signal });
        // So that the first job need not wait for it.
        await this.#link.open(signal);
        return;
      } catch (error) {
        signal.throwIfAborted();
        if (!isEngineTrouble(error)) throw error;
        if (isFirst) this.#log.info(`waiting for ${this.#endpoint.instance}: ${error.message}`);
        await systemClock.sleep(pauseMs, { signal });
      }
    }
  }

  async run(job: ConnectorJob, io: ConnectorIo): Promise<ConnectorResult> {
    const input = readJobInput(job.input);
    const meter = new ProgressMeter(input.prompt);
    try {
      return await this.#runOnce({ input, meter, io, found: readCheckpoint(job.resumed) });
    } catch (error) {
      if (!(error instanceof ComfyUIFileMissingError)) throw error;
      // The engine's cache names a file that somebody has removed since. Without the cache it is made again.
      io.log.info(`${error.message}; the workflow is run again without the engine's cache`);
      await this.#client.free({ unloadModels: false, signal: io.signal });
      return await this.#runOnce({ input, meter, io, found: undefined });
    }
  }

  async close(): Promise<void> {
    this.#link.close();
    await this.#client.close();
  }

  async #runOnce({ input, meter, io, found }: JobRun): Promise<ConnectorResult> {
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
        clock: systemClock,
        settings: this.#settings,
        input,
        io,
        onEvent,
        prepare: () => uploadFiles(this.#client, input, io.signal),
      },
      found,
    );
    const outputs = this.#outputsOf(await run.end());
    const { files, rest } = sortOutputs(outputs);
    // Before the first is stored: none is stored of a run that has to be done again.
    const paths = await Promise.all(files.map((file) => this.#files.locate(file)));
    for (const [at, file] of files.entries()) await io.store(await this.#files.read(file, paths[at], io.signal));
    const { promptId, ignored } = run;
    if (ignored.length > 0) io.log.warn(`outputs of the workflow were left out: ${ignored.join('; ')}`);
    const isSmall = JSON.stringify(rest).length <= maxOutputBytes;
    if (!isSmall) io.log.warn(`${promptId}: outputs that are no files are over 64 KB and are left out`);
    return {
      output: {
        promptId,
        ...(Object.keys(rest).length > 0 && isSmall ? { outputs: rest } : {}),
        ...(ignored.length > 0 ? { ignored } : {}),
      },
    };
  }

  #outputsOf(outcome: Outcome): Readonly<Record<string, NodeOutput>> {
    const engine = this.#endpoint.instance;
    if (outcome.end === 'success') return outcome.outputs;
    if (outcome.end === 'error') throw nodeFailure(engine, outcome.error);
    throw new ComfyUIInterruptedError({ engine, node: outcome.node });
  }
}
