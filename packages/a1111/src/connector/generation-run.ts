import { wasNotHeard } from '@mgpu/core/http-client';
import { abortable, type Clock, type ConnectorIo, deadline, reportError } from '@mgpu/core/jobs';
import type { A1111Client } from '../client/a1111-client.ts';
import type { Generated, Progress } from '../client/types.ts';
import {
  A1111BadAnswerError,
  A1111EngineLostError,
  A1111InterruptedError,
  A1111JobKillsEngineError,
  A1111UnreachableError,
} from '../errors.ts';
import type { Checkpoint } from './checkpoint.ts';
import { isEngineTrouble } from './engine-trouble.ts';
import type { EngineRequest } from './read-request.ts';
import type { ConnectorSettings } from './settings.ts';

export interface GenerationRunOptions {
  readonly engine: string;
  readonly client: A1111Client;
  readonly clock: Clock;
  readonly settings: ConnectorSettings;
  readonly request: EngineRequest;
  readonly io: Pick<ConnectorIo, 'signal' | 'log' | 'checkpoint'>;
  /** What is seen of this job while it runs. */
  readonly onProgress: (progress: Progress) => void;
}

const pauseMs = { first: 50, most: 1_000 };
/** Between two interrupts of the same job: one that comes before it begins is lost. */
const interruptMs = 200;

/**
 * Takes one request through the engine. The engine knows no ids: that it is this request that runs is told by the moment it
 * began, and its result is in the answer to it alone. So a request whose answer was lost is made again, after what is left
 * of it was interrupted.
 */
export class GenerationRun {
  readonly #options: GenerationRunOptions;
  #deaths: number;
  /** When the engine began with this request, in its own words; undefined until it has. */
  #began: string | undefined;

  constructor(options: GenerationRunOptions, found: Checkpoint | undefined) {
    this.#options = options;
    this.#deaths = found?.deaths ?? 0;
    this.#began = found?.timestamp ?? undefined;
  }

  async end(): Promise<Generated> {
    const { settings, clock, io } = this.#options;
    for (let refusals = 0; ; ) {
      const { now } = await this.#awaitEngine();
      await this.#clearLeftover(now);
      try {
        return await this.#submit();
      } catch (error) {
        if (io.signal.aborted || !isEngineTrouble(error)) throw error;
        // Gone after it had begun, or while it was given to it: that is what a job that kills its engine looks like.
        const wasHeard = this.#began !== undefined || !wasNotHeard(error.cause);
        if (wasHeard && (await this.#awaitEngine()).wasAway) this.#countDeath();
        else if (++refusals >= settings.maxSubmissions) throw error;
        io.log.info(`${error.message}; the job is submitted again`);
        await clock.sleep(pauseMs.first * 2 ** refusals, { signal: io.signal });
      }
    }
  }

  #countDeath(): void {
    const { settings, engine } = this.#options;
    this.#deaths++;
    if (this.#deaths >= settings.maxDeaths) throw new A1111JobKillsEngineError({ engine, deaths: this.#deaths });
  }

  /** What the engine does now. Waits for one that does not answer to come back. */
  async #awaitEngine(): Promise<{ readonly now: Progress; readonly wasAway: boolean }> {
    const { client, clock, io, settings, engine } = this.#options;
    const since = clock.elapsed();
    let wasAway = false;
    for (let pause = pauseMs.first; ; pause = Math.min(pause * 2, pauseMs.most)) {
      try {
        return { now: await client.progress({ preview: false, signal: io.signal }), wasAway };
      } catch (error) {
        if (io.signal.aborted || !isEngineTrouble(error)) throw error;
        wasAway ||= error instanceof A1111UnreachableError;
        const waitedMs = clock.elapsed() - since;
        if (waitedMs > settings.goneMs) {
          if (error instanceof A1111BadAnswerError) throw error;
          const fault = this.#began === undefined ? 'retryable' : 'engine-fault';
          throw new A1111EngineLostError({ engine, waitedMs, fault }, { cause: error });
        }
        await clock.sleep(pause, { signal: io.signal });
      }
    }
  }

  /** Of a worker that died, or of an answer that was lost, the engine may still run this very request. */
  async #clearLeftover({ isBusy, timestamp }: Progress): Promise<void> {
    const { client, clock, io, settings } = this.#options;
    const left = this.#began;
    this.#began = undefined;
    if (!isBusy || left !== timestamp) return;
    io.log.info('an earlier attempt of this job still runs: it is interrupted');
    using limit = deadline(clock, settings.cancelMs, () => new DOMException('it runs on', 'TimeoutError'), io.signal);
    const { signal } = limit;
    try {
      for (
        let now: Pick<Progress, 'isBusy' | 'timestamp'> = { isBusy, timestamp };
        now.isBusy && now.timestamp === left;
      ) {
        await client.interrupt({ signal });
        await clock.sleep(interruptMs, { signal });
        now = await client.progress({ preview: false, signal });
      }
    } catch (error) {
      io.signal.throwIfAborted();
      // Then this one waits until that has ended.
      io.log.warn(`an earlier attempt of this job could not be ended: ${reportError(error).message}`);
    }
  }

  async #submit(): Promise<Generated> {
    const { client, io, request } = this.#options;
    await io.checkpoint(this.#checkpoint());
    io.signal.throwIfAborted();
    const before = await client.progress({ preview: false, signal: io.signal });
    // Not by the job's signal: as long as the connection holds, it is known when the engine is done with it.
    const connection = new AbortController();
    const { signal } = connection;
    const answered =
      request.kind === 'txt2img' ? client.txt2img(request.body, { signal }) : client.img2img(request.body, { signal });
    const over = new AbortController();
    const done = answered.finally(() => over.abort());
    done.catch(() => {}); // awaited below, unless the job is cancelled
    const watching = this.#watch(before, over.signal);
    try {
      const generated = await abortable(done, io.signal);
      await this.#expectWhole(generated);
      return generated;
    } catch (error) {
      if (io.signal.aborted) await this.#cancel(done, over.signal);
      throw error;
    } finally {
      over.abort();
      connection.abort(new DOMException('nobody waits for it any more', 'AbortError'));
      await watching;
    }
  }

  /** An interrupted request is answered as a success. The engine remembers the interrupt until it begins with another one. */
  async #expectWhole({ info }: Generated): Promise<void> {
    const { client, io, engine } = this.#options;
    const last = await client.progress({ preview: false, signal: io.signal });
    if (last.interrupted && last.timestamp === info.job_timestamp) throw new A1111InterruptedError({ engine });
  }

  #checkpoint(): Checkpoint {
    return { v: 1, deaths: this.#deaths, timestamp: this.#began ?? null };
  }

  /** Looks at the engine until the request is over. */
  async #watch(before: Progress, over: AbortSignal): Promise<void> {
    const { client, clock, io, settings, onProgress } = this.#options;
    let last = before;
    while (!over.aborted) {
      try {
        const now = await client.progress({ signal: over });
        if (now.isBusy && this.#began === undefined && isNext(now, last)) {
          this.#began = now.timestamp;
          await io.checkpoint(this.#checkpoint());
        }
        if (now.isBusy && now.timestamp === this.#began) onProgress(now);
        last = now;
        await clock.sleep(settings.pollMs, { signal: over });
      } catch (error) {
        if (over.aborted) return;
        // What becomes of the request is told by its own answer.
        if (!isEngineTrouble(error)) io.log.debug(`no progress: ${reportError(error).message}`);
        await clock.sleep(settings.pollMs, { signal: over }).catch(() => {}); // it is over
      }
    }
  }

  /** Interrupts the request, as soon as it runs and until it has ended; after a while it is left to end by itself. */
  async #cancel(done: Promise<unknown>, over: AbortSignal): Promise<void> {
    const { client, clock, io, settings } = this.#options;
    const late = () => new DOMException(`it still ran after ${settings.cancelMs} ms`, 'TimeoutError');
    using limit = deadline(clock, settings.cancelMs, late, over);
    const { signal } = limit;
    let problem: unknown;
    while (!signal.aborted) {
      try {
        // Of others that it waits behind none is interrupted.
        const { isBusy, timestamp } = await client.progress({ preview: false, signal });
        if (isBusy && timestamp === this.#began) await client.interrupt({ signal });
        await clock.sleep(interruptMs, { signal });
      } catch (error) {
        problem = error;
        await clock.sleep(interruptMs, { signal }).catch(() => {}); // over, one way or the other
      }
    }
    if (over.aborted) {
      await done.catch(() => {}); // what it made is nobody's
      return;
    }
    io.log.warn(`the job could not be seen to end: ${reportError(problem ?? signal.reason).message}`);
  }
}

/** Whether what runs now is another request than what ran at the last look. */
function isNext(now: Progress, last: Progress): boolean {
  return !last.isBusy || now.timestamp !== last.timestamp || now.fraction < last.fraction;
}
