import { dirname } from 'node:path';
import { type MgpuError, type RetryOptions, retrying } from '@mgpu/core';
import {
  BadAnswerError,
  ChangedError,
  ChecksumError,
  CutShortError,
  SizeError,
  UnreachableError,
  waitAskedFor,
} from '../errors.ts';
import type { Source } from '../sources/source.ts';
import { type FlowLimit, RateMeter, watchFlow } from './flow.ts';
import { expectSuccess, type Http, type HttpAnswer } from './http.ts';
import { PartFile } from './part-file.ts';
import type { Space } from './space.ts';

export interface DownloadProgress {
  /** Bytes that are there, those of earlier connections included. */
  readonly received: number;
  /** Bytes it has; undefined while nobody has said. */
  readonly total?: number;
  readonly bytesPerSecond?: number;
  /** Milliseconds until it is there at that rate. */
  readonly remainingMs?: number;
}

/** `attempts`: connections in a row that may bring next to nothing before it fails. */
export interface DownloadTools extends Pick<RetryOptions, 'attempts' | 'clock' | 'signal'> {
  readonly http: Http;
  readonly space: Space;
  readonly flow: FlowLimit;
}

export interface DownloadTask {
  readonly source: Source;
  /** Absolute. */
  readonly to: string;
  /** Bytes it must have. */
  readonly size?: number | undefined;
  readonly sha256?: string | undefined;
  /** A file in that place is replaced once the new one is whole. Default false. */
  readonly replace?: boolean;
  readonly onProgress?: ((progress: DownloadProgress) => void) | undefined;
  /** It is tried again after so many milliseconds. */
  readonly onRetry?: ((error: MgpuError, waitMs: number) => void) | undefined;
}

export interface Downloaded {
  readonly size: number;
  readonly sha256: string;
}

/** Bytes of a connection that count as having brought something. */
const worthwhile = 1 << 20;
const toldEveryMs = 200;

/**
 * Brings a file to its place: under a hidden name until all of it is there and what is known of its size and checksum is so.
 * Broken connections are gone on with, also by another process later. Throws the errors of `errors.ts` and the signal's reason.
 */
export async function download(task: DownloadTask, tools: DownloadTools): Promise<Downloaded> {
  const { source, onRetry } = task;
  await using part = await PartFile.open(task.to);
  const run = new DownloadRun(part, task, tools, await part.takeOver(source.label, task.sha256 !== undefined));
  let before = 0;
  const connect = async () => {
    before = part.size;
    await run.connect();
    return run.finish();
  };
  const { attempts, clock, signal } = tools;
  const hasHelped = () => part.size - before >= worthwhile;
  return await retrying(connect, { attempts, clock, signal, hasHelped, leastWaitMs: waitAskedFor, onRetry });
}

class DownloadRun {
  readonly #part: PartFile;
  readonly #task: DownloadTask;
  readonly #tools: DownloadTools;
  readonly #rate: RateMeter;
  #validator: string | undefined;
  /** What the host or the list say it has. */
  #size: number | undefined;
  #sha256: string | undefined;
  #toldAt = Number.NEGATIVE_INFINITY;

  constructor(part: PartFile, task: DownloadTask, tools: DownloadTools, validator: string | undefined) {
    this.#part = part;
    this.#task = task;
    this.#tools = tools;
    this.#rate = new RateMeter(tools.clock);
    this.#validator = validator;
    this.#size = task.size;
    this.#sha256 = task.sha256;
  }

  /** One connection: brings as much as it gives; all of it, or throws. */
  async connect(): Promise<void> {
    const part = this.#part;
    const { http, clock, flow: limit, signal } = this.#tools;
    const request = await this.#task.source.request();
    part.continue();
    if (this.#size !== undefined && part.size > this.#size) await part.restart();
    if (part.size > 0 && part.size === this.#size) return; // all that is missing is its name
    using flow = watchFlow(this.#label, limit, { clock, parent: signal });
    const answer = await http.open(request, this.#rangeHeaders(), flow.signal);
    try {
      await this.#judge(answer, request.url);
      await this.#receive(answer, flow);
    } finally {
      await answer.discard();
    }
  }

  /** Gives the file its name, if it is what it should be. */
  async finish(): Promise<Downloaded> {
    const part = this.#part;
    const { size } = part;
    this.#tell(true);
    const found = part.digest();
    const expected = this.#sha256;
    if (expected !== undefined && found !== expected) {
      const wasResumed = part.isResumed;
      await this.#beginAnew();
      // Pieces of two states of a file give this as well: once more, in one piece.
      if (wasResumed) throw new ChangedError({ url: this.#label });
      throw new ChecksumError({ url: this.#label, expected, found });
    }
    await part.publish({ replace: this.#task.replace ?? false });
    return { size, sha256: found };
  }

  get #label(): string {
    return this.#task.source.label;
  }

  #rangeHeaders(): Record<string, string> {
    const { size } = this.#part;
    if (size === 0) return {};
    return { range: `bytes=${size}-`, ...(this.#validator === undefined ? {} : { 'if-range': this.#validator }) };
  }

  /** What the answer is: the rest, or all of it, or nothing that can be used. */
  async #judge(answer: HttpAnswer, url: URL): Promise<void> {
    const part = this.#part;
    if (answer.status === 416) {
      await this.#beginAnew();
      throw new ChangedError({ url: this.#label });
    }
    await expectSuccess(answer, url, this.#task.source.needs);
    const { headers } = answer;
    const range = rangeOf(headers['content-range']);
    const refuse = (problem: string) => new BadAnswerError({ url: this.#label, problem, mayPass: false });
    if (answer.status === 206) {
      if (range?.from !== part.size)
        throw refuse(`it gives ${headers['content-range'] ?? 'some part'} when asked for byte ${part.size} on`);
    } else if (part.size > 0) await this.#beginAnew(); // it gives no parts, or has another file by now
    if (answer.status === 206 && this.#validator !== undefined && validatorOf(headers) !== this.#validator) {
      await this.#beginAnew();
      throw new ChangedError({ url: this.#label });
    }
    const [type = ''] = (headers['content-type'] ?? '').split(';');
    if (type.trim().toLowerCase() === 'text/html' && !/\.html?$/.test(this.#task.to)) {
      throw refuse('it is a page for people, not a file; some hosts answer so where a token is missing');
    }
    this.#learn(answer, range);
    if (this.#size === undefined && this.#sha256 === undefined && !isDelimited(headers)) {
      throw refuse('it says neither how long it is nor where it ends, so nobody could tell whether all of it came');
    }
    this.#validator = validatorOf(headers);
    await part.note({ source: this.#label, validator: this.#validator });
  }

  /** What was there, and what was said of it, is of another file. */
  async #beginAnew(): Promise<void> {
    await this.#part.restart();
    this.#size = this.#task.size;
    this.#sha256 = this.#task.sha256;
    this.#validator = undefined;
  }

  /** Holds what the host says against what is known. */
  #learn({ status, headers, firstHeaders }: HttpAnswer, range: ContentRange | undefined): void {
    const facts = this.#task.source.factsIn?.(firstHeaders) ?? {};
    const length = headers['content-length'] === undefined ? undefined : Number(headers['content-length']);
    const whole = status === 206 ? range?.total : length;
    for (const said of [facts.size, whole]) {
      if (said === undefined || !Number.isSafeInteger(said)) continue;
      if (this.#size === undefined) this.#size = said;
      else if (this.#size !== said) throw new SizeError({ url: this.#label, expected: this.#size, found: said });
    }
    this.#sha256 ??= facts.sha256;
  }

  async #receive(answer: HttpAnswer, flow: { count(bytes: number): void }): Promise<void> {
    const part = this.#part;
    const { to } = this.#task;
    using claim = await this.#tools.space.claim(to, dirname(to), Math.max(0, (this.#size ?? 0) - part.size));
    this.#tell(true);
    for await (const chunk of this.#expectAll(answer.body)) {
      flow.count(chunk.length);
      if (this.#size !== undefined && part.size + chunk.length > this.#size) {
        const found = part.size + chunk.length;
        await part.restart();
        throw new SizeError({ url: this.#label, expected: this.#size, found });
      }
      await part.append(chunk);
      claim.written(chunk.length);
      this.#tell(false);
    }
  }

  /** A body that ends, or breaks off, before it has what was said of it is cut short. */
  async *#expectAll(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    const isMissing = () => this.#size !== undefined && this.#part.size < this.#size;
    const cutShort = (cause?: unknown) =>
      new CutShortError({ url: this.#label, expected: this.#size ?? 0, received: this.#part.size }, { cause });
    try {
      yield* body;
    } catch (error) {
      throw error instanceof UnreachableError && isMissing() ? cutShort(error) : error;
    }
    if (isMissing()) throw cutShort();
  }

  #tell(always: boolean): void {
    const { onProgress } = this.#task;
    const now = this.#tools.clock.elapsed();
    if (!onProgress || (!always && now - this.#toldAt < toldEveryMs)) return;
    this.#toldAt = now;
    const received = this.#part.size;
    const total = this.#size;
    this.#rate.mark(received);
    const { bytesPerSecond } = this.#rate;
    onProgress({
      received,
      ...(total === undefined ? {} : { total }),
      ...(bytesPerSecond === undefined ? {} : { bytesPerSecond }),
      ...(total === undefined || !bytesPerSecond ? {} : { remainingMs: ((total - received) / bytesPerSecond) * 1_000 }),
    });
  }
}

type Headers = HttpAnswer['headers'];

interface ContentRange {
  readonly from: number;
  readonly total: number | undefined;
}

/** RFC 9110 §14.4. */
function rangeOf(header: string | undefined): ContentRange | undefined {
  const [, from, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(header ?? '') ?? [];
  if (from === undefined) return undefined;
  return { from: Number(from), total: total === '*' ? undefined : Number(total) };
}

/** Whether its end can be told from a broken connection: RFC 9112 §6.3. */
const isDelimited = (headers: Headers) =>
  headers['content-length'] !== undefined || /\bchunked\b/i.test(headers['transfer-encoding'] ?? '');

/** What `If-Range` may carry: a strong entity tag, else the date of the last change. RFC 9110 §13.1.5. */
function validatorOf({ etag, 'last-modified': changed }: Headers): string | undefined {
  return etag?.startsWith('"') ? etag : changed;
}
