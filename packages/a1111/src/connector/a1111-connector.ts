import {
  abortable,
  type Connector,
  type ConnectorFactoryOptions,
  type ConnectorIo,
  type ConnectorJob,
  type ConnectorResult,
  type Endpoint,
  type Logger,
  systemClock,
} from '@mgpu/core/jobs';
import { A1111Client } from '../client/a1111-client.ts';
import type { Progress } from '../client/types.ts';
import { readCheckpoint } from './checkpoint.ts';
import { isEngineTrouble } from './engine-trouble.ts';
import { GenerationRun } from './generation-run.ts';
import { readJobInput } from './job-input.ts';
import { filesOf, formatOf } from './pictures.ts';
import { readRequest } from './read-request.ts';
import { type ConnectorSettings, defaultSettings } from './settings.ts';

const maxInfoBytes = 64 * 1024;

/** Takes jobs of type `a1111` to one engine, one after another: what waits in the engine can be taken back by nobody. */
export class A1111Connector implements Connector {
  readonly #endpoint: Endpoint;
  readonly #log: Logger;
  readonly #settings: ConnectorSettings;
  readonly #client: A1111Client;
  /** The end of the job that came last. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor({ endpoint, log }: ConnectorFactoryOptions, settings: Partial<ConnectorSettings> = {}) {
    this.#endpoint = endpoint;
    this.#log = log;
    this.#settings = { ...defaultSettings, ...settings };
    this.#client = new A1111Client(endpoint);
  }

  async ready(signal: AbortSignal): Promise<void> {
    for (let pauseMs = 50, isFirst = true; ; pauseMs = Math.min(pauseMs * 2, 500), isFirst = false) {
      try {
        await this.#client.progress({ preview: false, signal });
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
    const request = await readRequest(input, io.signal);
    const over = Promise.withResolvers<void>();
    const before = this.#turn;
    this.#turn = before.then(() => over.promise);
    try {
      await abortable(before, io.signal);
      const run = new GenerationRun(
        {
          engine: this.#endpoint.instance,
          client: this.#client,
          clock: systemClock,
          settings: this.#settings,
          request,
          io,
          onProgress: this.#tell(io),
        },
        readCheckpoint(job.resumed),
      );
      const generated = await run.end();
      io.progress({ percent: 100 });
      for (const file of filesOf(request.kind, generated)) await io.store(file);
      const isSmall = JSON.stringify(generated.info).length <= maxInfoBytes;
      if (!isSmall) io.log.warn('what the engine says of the pictures is over 64 KB and is left out');
      return { output: { seeds: generated.seeds, ...(isSmall ? { info: generated.info } : {}) } };
    } finally {
      over.resolve();
    }
  }

  close(): Promise<void> {
    return this.#client.close();
  }

  /** Never backwards: an engine that died begins anew. */
  #tell(io: ConnectorIo): (progress: Progress) => void {
    let best = 0;
    let shown: string | undefined;
    return ({ fraction, step, steps, job, preview }) => {
      best = Math.max(best, Math.floor(Math.min(0.999, fraction) * 1_000) / 10);
      io.progress({ percent: best, node: job, ...(steps > 0 ? { step, steps } : {}) });
      if (!preview) return;
      const text = Buffer.from(preview).toString('base64');
      if (text === shown) return;
      shown = text;
      io.preview({ mediaType: formatOf(preview).mediaType, data: preview });
    };
  }
}
