import { randomUUID } from 'node:crypto';
import { wasNotHeard } from '@mgpu/core/http-client';
import {
  abortable,
  type Clock,
  type ConnectorIo,
  JobHandoverError,
  type MgpuError,
  reportError,
} from '@mgpu/core/jobs';
import type { ComfyUIClient } from '../client/comfyui-client.ts';
import { describeNodeErrors } from '../client/prompt-refusal.ts';
import type { EngineEvent, PromptGraph } from '../client/types.ts';
import {
  ComfyUIBadAnswerError,
  ComfyUIEngineLostError,
  ComfyUIJobKillsEngineError,
  ComfyUIPromptRemovedError,
  ComfyUIUnreachableError,
} from '../errors.ts';
import { cancelPrompt, dropPrompt } from './cancel-prompt.ts';
import type { Checkpoint } from './checkpoint.ts';
import { isEngineTrouble } from './engine-trouble.ts';
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
  /** Brings to this engine what the workflow needs and returns it ready to be submitted here. */
  readonly prepare: () => Promise<PromptGraph>;
}

/** Between submissions that were not taken. */
const retryMs = { first: 100, most: 2_000 };

/**
 * Takes one workflow through the engine, exactly once as long as the engine remembers it: saved before it is submitted,
 * looked for before it is submitted again.
 */
export class PromptRun {
  readonly promptId: string;
  readonly #options: PromptRunOptions;
  readonly #found: Checkpoint | undefined;
  #watch: PromptWatch;
  #deaths: number;
  #submission: Promise<unknown> | undefined;
  /** The engine was not there for a while since the last submission. */
  #wasAway = false;
  /** Outputs of the workflow that the engine left out, and why. */
  ignored: readonly string[];

  constructor(options: PromptRunOptions, found: Checkpoint | undefined) {
    this.#options = options;
    this.#found = found;
    this.promptId = found?.promptId ?? randomUUID();
    this.#deaths = found?.deaths ?? 0;
    this.ignored = found?.ignored ?? [];
    this.#watch = new PromptWatch(this.promptId, { isWhole: false, onEvent: options.onEvent });
  }

  /** Follows what an earlier worker submitted, if there is such; submits it when the engine does not know it. */
  async end(): Promise<Outcome> {
    return this.#cancellable(async () => (await this.#resume()) ?? (await this.#submitUntilEnd()));
  }

  async #resume(): Promise<Outcome | undefined> {
    if (!this.#found) return undefined;
    const { link } = this.#options;
    link.add(this.#watch);
    const { clientId } = this.#found;
    if (clientId !== null) link.listen(clientId);
    const outcome = await this.#follow({ askAtOnce: true });
    if (!outcome) this.#forgotten(undefined);
    return outcome;
  }

  async #submitUntilEnd(): Promise<Outcome> {
    const { prepare, clock, io, settings } = this.#options;
    const prompt = await prepare();
    for (let submissions = 1, refusals = 0; ; submissions++) {
      const trouble = await this.#submit(prompt);
      const outcome = await this.#follow({ askAtOnce: trouble !== undefined });
      if (outcome) {
        if (submissions > 1) await this.#dropCopies();
        return outcome;
      }
      this.#forgotten(trouble);
      refusals = trouble ? refusals + 1 : 0;
      if (!trouble) continue;
      if (refusals >= settings.maxSubmissions) throw trouble;
      const pauseMs = Math.min(retryMs.first * 2 ** refusals, retryMs.most);
      // Apart from others that were not taken, so that it shows which of them an engine dies of.
      await clock.sleep(pauseMs * (0.5 + Math.random()), { signal: io.signal });
    }
  }

  /** Undefined when the engine took it; else what went wrong, and the engine may have it all the same. */
  async #submit(prompt: PromptGraph): Promise<MgpuError | undefined> {
    const { link, client, io, input, onEvent } = this.#options;
    const connection = await link.open(io.signal);
    this.#unwatch();
    this.#watch = new PromptWatch(this.promptId, { isWhole: connection !== undefined, onEvent });
    link.add(this.#watch);
    const { promptId } = this;
    const checkpoint: Checkpoint = { v: 1, promptId, clientId: connection?.clientId ?? null, deaths: this.#deaths };
    await io.checkpoint(checkpoint);
    io.signal.throwIfAborted();
    this.#wasAway = false;
    const submission = client.submit(prompt, {
      promptId,
      ...(connection ? { clientId: connection.clientId } : {}),
      ...(input.extraData ? { extraData: input.extraData } : {}),
    });
    // Nobody may be waiting for it any more when it fails.
    this.#submission = submission.catch(() => {});
    try {
      const { nodeErrors } = await abortable(submission, io.signal);
      this.ignored = describeNodeErrors(nodeErrors);
    } catch (error) {
      if (!isEngineTrouble(error)) throw error;
      this.#watch.distrust();
      return error;
    }
    if (this.ignored.length > 0) await io.checkpoint({ ...checkpoint, ignored: this.ignored });
    return undefined;
  }

  /** Until it has ended; undefined when the engine does not know it. */
  async #follow({ askAtOnce }: { askAtOnce: boolean }): Promise<Outcome | undefined> {
    const { clock, io, link, settings } = this.#options;
    const watch = this.#watch;
    let [pauseMs, mostMs] = settings.pollMs;
    for (let isDue = askAtOnce; ; isDue = false) {
      const { isWhole } = watch;
      const end = isDue ? undefined : await watch.next(isWhole ? settings.quietMs : pauseMs, clock, io.signal);
      if (end) return end;
      const place = await this.#locate();
      if (typeof place === 'object') {
        if (watch.isWhole) link.renew('it did not tell the end of a prompt');
        return place;
      }
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
        this.#wasAway ||= error instanceof ComfyUIUnreachableError;
        const waitedMs = clock.elapsed() - since;
        if (waitedMs > settings.goneMs) {
          if (error instanceof ComfyUIBadAnswerError) throw error;
          const fault = this.#watch.hasBegun ? 'engine-fault' : 'retryable';
          throw new ComfyUIEngineLostError({ engine, waitedMs, fault }, { cause: error });
        }
        await clock.sleep(pauseMs, { signal: io.signal });
      }
    }
  }

  /** The engine does not know it. Throws when submitting it again would be wrong. */
  #forgotten(trouble: MgpuError | undefined): void {
    const { engine, settings, io } = this.#options;
    const { isWhole, hasBegun } = this.#watch;
    // The connection has been whole all the time, so the engine is the same: somebody took it out of the queue.
    if (isWhole) throw new ComfyUIPromptRemovedError({ engine, promptId: this.promptId });
    // An engine can die of a prompt before it takes it: while it reads it.
    const diedReading = trouble !== undefined && this.#wasAway && !wasNotHeard(trouble.cause);
    if (hasBegun || diedReading) this.#deaths++;
    if (this.#deaths >= settings.maxDeaths) {
      throw new ComfyUIJobKillsEngineError({ engine, deaths: this.#deaths });
    }
    io.log.info(`${engine} does not know prompt ${this.promptId}; it is submitted again`);
  }

  /** A submission whose answer was lost may have arrived after the next one. */
  async #dropCopies(): Promise<void> {
    const { client, io } = this.#options;
    await dropPrompt(client, this.promptId, io.signal).catch((error) => {
      io.signal.throwIfAborted();
      io.log.warn(`prompt ${this.promptId} may be done twice: ${reportError(error).message}`);
    });
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
