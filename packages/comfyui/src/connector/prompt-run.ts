import { randomUUID } from 'node:crypto';
import { abortable, type Clock, type ConnectorIo, JobHandoverError, MgpuError } from '@mgpu/core/jobs';
import type { ComfyUIClient } from '../client/comfyui-client.ts';
import type { EngineEvent, NodeErrors } from '../client/types.ts';
import {
  ComfyUIBadAnswerError,
  ComfyUIEngineLostError,
  ComfyUIJobKillsEngineError,
  ComfyUIPromptRemovedError,
  ComfyUIUnreachableError,
} from '../errors.ts';
import { cancelPrompt } from './cancel-prompt.ts';
import type { Checkpoint } from './checkpoint.ts';
import type { EventLink } from './event-link.ts';
import type { ReadJobInput } from './job-input.ts';
import { locatePrompt, type Outcome, type Place } from './outcome.ts';
import { PromptWatch } from './prompt-watch.ts';
import type { ConnectorSettings } from './settings.ts';

export interface PromptRunOptions {
  readonly engine: string;
  readonly client: ComfyUIClient;
  readonly link: EventLink;
  readonly clock: Clock;
  readonly settings: ConnectorSettings;
  readonly input: ReadJobInput;
  readonly io: Pick<ConnectorIo, 'signal' | 'log' | 'checkpoint'>;
  readonly onEvent: (event: EngineEvent) => void;
  /** Brings to this engine what the workflow needs; done before it is submitted here, wherever it began. */
  readonly prepare: () => Promise<void>;
}

const isEngineTrouble = (error: unknown): error is MgpuError =>
  error instanceof MgpuError &&
  (error.code === ComfyUIUnreachableError.code || error.code === ComfyUIBadAnswerError.code);

/**
 * Takes one workflow through the engine, exactly once as long as the engine remembers it: saved before it is submitted,
 * looked for before it is submitted again.
 */
export class PromptRun {
  readonly promptId: string;
  readonly #options: PromptRunOptions;
  #watch: PromptWatch;
  #deaths: number;
  #isAccepted = false;
  #submission: Promise<unknown> | undefined;
  /** What is wrong with outputs of the workflow that the engine left out. */
  nodeErrors: NodeErrors = {};

  constructor(options: PromptRunOptions, found: Checkpoint | undefined) {
    this.#options = options;
    this.promptId = found?.promptId ?? randomUUID();
    this.#deaths = found?.deaths ?? 0;
    this.#watch = new PromptWatch(this.promptId, { isWhole: false, onEvent: options.onEvent });
  }

  /** Follows what an earlier worker submitted; submits it when the engine does not know it. */
  async resume(): Promise<Outcome> {
    return this.#cancellable(async () => (await this.#follow()) ?? (await this.#submitUntilEnd()));
  }

  async start(): Promise<Outcome> {
    return this.#cancellable(() => this.#submitUntilEnd());
  }

  async #submitUntilEnd(): Promise<Outcome> {
    await this.#options.prepare();
    for (;;) {
      await this.#submit();
      const outcome = await this.#follow();
      if (outcome) return outcome;
      this.#forgotten();
    }
  }

  async #submit(): Promise<void> {
    const { link, client, io, input, onEvent } = this.#options;
    const connection = await link.open(io.signal);
    this.#unwatch();
    this.#watch = new PromptWatch(this.promptId, { isWhole: connection !== undefined, onEvent });
    link.add(this.#watch);
    const { promptId } = this;
    await io.checkpoint({
      v: 1,
      promptId,
      engineRun: connection?.clientId ?? null,
      deaths: this.#deaths,
    } satisfies Checkpoint);
    io.signal.throwIfAborted();
    this.#isAccepted = false;
    const submission = client.submit(input.prompt, {
      promptId,
      ...(connection ? { clientId: connection.clientId } : {}),
      ...(input.extraData ? { extraData: input.extraData } : {}),
    });
    // Nobody may be waiting for it any more when it fails.
    this.#submission = submission.catch(() => {});
    try {
      this.nodeErrors = (await abortable(submission, io.signal)).nodeErrors;
      this.#isAccepted = true;
    } catch (error) {
      if (!isEngineTrouble(error)) throw error;
      // The engine may have it all the same: whoever follows looks first.
      this.#watch.distrust();
    }
  }

  /** Until it has ended; undefined when the engine does not know it. */
  async #follow(): Promise<Outcome | undefined> {
    const { clock, io, settings } = this.#options;
    const watch = this.#watch;
    let [pauseMs, mostMs] = settings.pollMs;
    for (let isFirst = !this.#isAccepted; ; isFirst = false) {
      const { isWhole } = watch;
      const news = isFirst ? 'doubt' : await watch.next(isWhole ? settings.quietMs : pauseMs, clock, io.signal);
      if (typeof news === 'object') return news;
      const place = await this.#locate();
      if (typeof place === 'object') return place;
      if (place === 'unknown') return undefined;
      if (place === 'running') watch.hasBegun = true;
      if (!isWhole) pauseMs = Math.min(mostMs, pauseMs * 1.5);
    }
  }

  /** Waits for an engine that does not answer to come back. */
  async #locate(): Promise<Place> {
    const { client, clock, io, settings, engine } = this.#options;
    const since = clock.elapsed();
    for (let pauseMs = 50; ; pauseMs = Math.min(pauseMs * 2, 1_000)) {
      try {
        return await locatePrompt(client, this.promptId, io.signal);
      } catch (error) {
        if (io.signal.aborted || !isEngineTrouble(error)) throw error;
        const waitedMs = clock.elapsed() - since;
        if (waitedMs > settings.goneMs) {
          if (error.code === ComfyUIBadAnswerError.code) throw error;
          const fault = this.#watch.hasBegun ? 'engine-fault' : 'retryable';
          throw new ComfyUIEngineLostError({ engine, waitedMs, fault }, { cause: error });
        }
        await clock.sleep(pauseMs, { signal: io.signal });
      }
    }
  }

  /** The engine has forgotten it. Throws when submitting it again would be wrong. */
  #forgotten(): void {
    const { engine, settings, io } = this.#options;
    const { isWhole, hasBegun } = this.#watch;
    // The connection has been whole all the time, so the engine is the same: somebody took it out of the queue.
    if (isWhole && this.#isAccepted) {
      throw new ComfyUIPromptRemovedError({ engine, promptId: this.promptId, fault: 'permanent' });
    }
    if (hasBegun) this.#deaths++;
    if (this.#deaths >= settings.maxDeaths) {
      throw new ComfyUIJobKillsEngineError({ engine, deaths: this.#deaths, fault: 'permanent' });
    }
    io.log.info(`${engine} does not know prompt ${this.promptId} any more; it is submitted again`);
  }

  async #cancellable(work: () => Promise<Outcome>): Promise<Outcome> {
    const { io, client, clock, settings } = this.#options;
    try {
      return await work();
    } catch (error) {
      if (!io.signal.aborted) throw error;
      const { reason } = io.signal;
      // A worker that stops leaves the prompt to its successor, which finds it by the checkpoint.
      const goesOn = reason instanceof JobHandoverError;
      const { cancelMs: withinMs } = settings;
      // A submission under way would otherwise arrive after it was looked for.
      const after = this.#submission;
      if (!goesOn) await cancelPrompt(client, this.promptId, { clock, log: io.log, withinMs, after });
      throw reason;
    } finally {
      this.#unwatch();
    }
  }

  #unwatch(): void {
    this.#options.link.remove(this.#watch);
  }
}
