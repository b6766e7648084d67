import {
  abortable,
  type LineMatcher,
  type LogLevel,
  type LogRecord,
  logRecord,
  type NamedLine,
  type NamedLog,
  readLogs,
} from '@mgpu/core';
import { type EventStream, messageOf } from '../streams/event-stream.ts';
import { LogCursor } from './log-cursor.ts';

/** Among selectors the daemon's own log. */
export const daemonName = 'daemon';

/** Lines of logs as server-sent events, some at a time. */
export interface LinesEvent {
  readonly event: 'lines';
  readonly data: readonly LogRecord[];
}

/** Which lines of which logs somebody follows. */
export interface Followed {
  /** Those that there are by now. */
  readonly find: () => readonly NamedLog[];
  readonly level?: LogLevel | undefined;
  readonly grep?: LineMatcher | undefined;
}

/** Where somebody begins. */
export interface FollowFrom {
  /** Where he was left; undefined for whoever comes for the first time. */
  readonly cursor: LogCursor | undefined;
  /** Lines from before, for those. */
  readonly last: number;
  readonly since?: number | undefined;
}

/** Logs as many follow them: what is new is read, and put into words, once for all who follow the same. */
export class LogBroadcasts {
  readonly #running = new Map<string, LogBroadcast>();

  /**
   * Sends what was before, and then what comes, until the stream is closed. `key` is the same for whoever follows the same. Rejects
   * with what the reading failed at.
   */
  async follow(key: string, followed: Followed, from: FollowFrom, stream: EventStream): Promise<void> {
    const broadcast = this.#running.get(key) ?? new LogBroadcast(followed);
    this.#running.set(key, broadcast);
    const gone = new AbortController();
    stream.onClose(() => gone.abort());
    using _ = broadcast.keep(() => this.#running.delete(key));
    await catchUp(broadcast, followed, from, { stream, signal: gone.signal });
    await broadcast.passed(gone.signal);
  }
}

/** Sends what is before the place where the broadcast is, then what came meanwhile, and joins it: no line is missed or comes twice. */
async function catchUp(
  broadcast: LogBroadcast,
  { find, level, grep }: Followed,
  { cursor, last, since }: FollowFrom,
  { stream, signal }: { stream: EventStream; signal: AbortSignal },
): Promise<void> {
  const filter = { level, grep, since, signal };
  let passed = cursor;
  while (!signal.aborted) {
    const target = broadcast.cursor;
    using meanwhile = new Waiting(broadcast);
    using _ = broadcast.join(meanwhile);
    // Whoever comes for the first time has passed whatever is there but the last lines, which come at once.
    const place = passed?.copy() ?? target.copy();
    const reading = passed
      ? readLogs(passed.upTo(target, find()), filter)
      : readLogs(target.before(find()), { ...filter, last });
    for await (const lines of reading) {
      place.pass(lines, daemonName);
      if (lines.length > 0) await stream.sendInTurn(messageOf(linesEvent(lines), place.word));
    }
    for (let message = meanwhile.next(); message !== undefined; message = meanwhile.next())
      await stream.sendInTurn(message);
    passed = meanwhile.leftAt;
    if (passed) continue; // he is so slow that the rest has to be read once more
    if (signal.aborted) return;
    const leave = broadcast.join(stream);
    signal.addEventListener('abort', () => leave[Symbol.dispose](), { once: true });
    return;
  }
}

/** Who gets messages. */
interface Receiver {
  send(message: string): void;
}

/** Characters that are kept for a reader who has not caught up. */
const mostWaitingChars = 1024 * 1024;

/** What came while somebody was catching up, up to the first that does not fit. */
class Waiting implements Receiver, Disposable {
  readonly #broadcast: LogBroadcast;
  readonly #messages: string[] = [];
  #chars = 0;
  /** Where the broadcast was before the first that does not fit. */
  leftAt: LogCursor | undefined;

  constructor(broadcast: LogBroadcast) {
    this.#broadcast = broadcast;
  }

  send(message: string): void {
    if (this.leftAt === undefined && this.#chars + message.length > mostWaitingChars)
      this.leftAt = this.#broadcast.cursor;
    if (this.leftAt !== undefined) return;
    this.#messages.push(message);
    this.#chars += message.length;
  }

  next(): string | undefined {
    const message = this.#messages.shift();
    this.#chars -= message?.length ?? 0;
    return message;
  }

  [Symbol.dispose](): void {
    this.#messages.length = 0;
  }
}

/** One reading of what is written from now on. Begins at once; goes on while somebody keeps it. */
class LogBroadcast {
  /** Where it is: after what its receivers have got. */
  cursor: LogCursor;
  readonly #receivers = new Set<Receiver>();
  readonly #over = new AbortController();
  readonly #reading: Promise<void>;
  #keepers = 0;

  constructor(followed: Followed) {
    const logs = followed.find();
    this.cursor = LogCursor.atEnd(logs);
    this.#reading = this.#read(followed, logs);
    this.#reading.catch(() => {}); // told to whoever follows
  }

  keep(onEnd: () => void): Disposable {
    this.#keepers += 1;
    return {
      [Symbol.dispose]: () => {
        this.#keepers -= 1;
        if (this.#keepers > 0) return;
        this.#over.abort();
        onEnd();
      },
    };
  }

  /** Sends it what comes, until it leaves. */
  join(receiver: Receiver): Disposable {
    this.#receivers.add(receiver);
    return { [Symbol.dispose]: () => void this.#receivers.delete(receiver) };
  }

  /** Resolves when the signal fires. Rejects with what the reading failed at. */
  async passed(signal: AbortSignal): Promise<void> {
    await abortable(this.#reading, signal).catch((error: unknown) => {
      if (!signal.aborted) throw error;
    });
  }

  async #read({ find, level, grep }: Followed, logs: readonly NamedLog[]): Promise<void> {
    const { signal } = this.#over;
    const options = { level, grep, find, follow: true, signal };
    for await (const lines of readLogs(this.cursor.after(logs), options)) {
      if (lines.length === 0) continue;
      const after = this.cursor.copy();
      after.pass(lines, daemonName);
      const message = messageOf(linesEvent(lines), after.word);
      for (const each of this.#receivers) each.send(message);
      this.cursor = after;
    }
  }
}

const linesEvent = (lines: readonly NamedLine[]): LinesEvent => ({ event: 'lines', data: lines.map(logRecord) });
