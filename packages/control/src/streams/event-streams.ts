import { type Clock, type ErrorReport, type Logger, MgpuError, reportError } from '@mgpu/core';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { TooManyStreamsError } from '../errors.ts';
import { Backlog } from './backlog.ts';
import { EventStream, eventForm, messageOf } from './event-stream.ts';

/** Bytes that all readers of events may be behind together. */
const maxAllBehindBytes = 16 * 1024 * 1024;
/** Milliseconds between two signs of life on a stream. */
const beatMs = 15_000;

export interface EventStreamsOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** Asked again while a stream is open. */
  readonly isAllowed: (request: FastifyRequest) => boolean;
  /** Streams open at the same time. */
  readonly most: number;
}

/** The open streams of a server: counted, kept alive, and ended with it. */
export class EventStreams {
  readonly #options: EventStreamsOptions;
  readonly #open = new Map<EventStream, FastifyRequest>();
  readonly #backlog = new Backlog(maxAllBehindBytes);
  readonly #over = new AbortController();
  #beating: Promise<void> | undefined;

  constructor(options: EventStreamsOptions) {
    this.#options = options;
  }

  /** Makes a stream of an answer. Throws `CONTROL_TOO_MANY_STREAMS`. */
  open(reply: FastifyReply, form = eventForm): EventStream {
    this.expectRoom();
    reply.hijack();
    // What was said to browsers so far would go with the reply.
    for (const [name, value] of Object.entries(reply.getHeaders())) reply.raw.setHeader(name, value ?? '');
    const stream = new EventStream(reply.raw, this.#backlog, form);
    this.#open.set(stream, reply.request);
    stream.onClose(() => this.#open.delete(stream));
    // Of an answer to HEAD nothing more comes, and what is asked next on its connection waits for its end.
    if (reply.request.method === 'HEAD') stream.end();
    this.#beating ??= this.#beat();
    return stream;
  }

  /** For what must not be begun where nobody could be told of it. Throws `CONTROL_TOO_MANY_STREAMS`. */
  expectRoom(): void {
    const { most } = this.#options;
    if (this.#open.size >= most) throw new TooManyStreamsError({ most });
  }

  /** Sends what somebody else tells, in its turn; ends with it, or when nobody reads any more. */
  async pass<T extends { readonly event: string }>(
    stream: EventStream,
    tell: (signal: AbortSignal) => AsyncIterable<T>,
  ): Promise<void> {
    const gone = new AbortController();
    stream.onClose(() => gone.abort());
    await this.whole(stream, async () => {
      for await (const event of tell(gone.signal)) await stream.sendInTurn(messageOf(event));
    });
  }

  /** Ends a stream with the work that fills it; what that fails at is the last message. */
  async whole(stream: EventStream, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (stream.isClosed) return;
      if (!(error instanceof MgpuError)) this.#options.log.error('a stream failed', { error });
      const last: ErrorEvent = { event: 'error', error: reportError(error) };
      stream.send(messageOf(last));
    } finally {
      stream.end();
    }
  }

  end(): void {
    this.#over.abort();
    for (const stream of this.#open.keys()) stream.end();
  }

  /** Nobody may while that cannot be told: the token's file may have gone, or become unreadable. */
  #mayStay(request: FastifyRequest): boolean {
    try {
      return this.#options.isAllowed(request);
    } catch (error) {
      this.#options.log.error('streams are ended: it cannot be told who may read them', { error });
      return false;
    }
  }

  /** One clock for all: what is due to be dropped or to hear of us may wait for a beat. */
  async #beat(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#over;
    while (this.#open.size > 0 && !signal.aborted) {
      await clock.sleep(beatMs, { signal }).catch(() => {}); // over
      for (const [stream, request] of this.#open) {
        if (this.#mayStay(request)) stream.beat();
        else stream.end();
      }
    }
    this.#beating = undefined;
  }
}

/** The last message of a stream that could not go on. */
export interface ErrorEvent {
  readonly event: 'error';
  readonly error: ErrorReport;
}
