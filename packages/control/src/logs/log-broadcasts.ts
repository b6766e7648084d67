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

/** Sends what is before the place where the broadcast is, wherever that gets to meanwhile, and joins it there. */
async function catchUp(
  broadcast: LogBroadcast,
  { find, level, grep }: Followed,
  { cursor, last, since }: FollowFrom,
  { stream, signal }: { stream: EventStream; signal: AbortSignal },
): Promise<void> {
  const filter = { level, grep, since, signal };
  let passed = cursor;
  for (let moves = -1; moves !== broadcast.moves && !signal.aborted; ) {
    moves = broadcast.moves;
    const target = broadcast.cursor.copy();
    // Whoever comes for the first time has passed whatever is there but the last lines, which come at once.
    const place = passed?.copy() ?? target.copy();
    const reading = passed
      ? readLogs(passed.upTo(target, find()), filter)
      : readLogs(target.before(find()), { ...filter, last });
    for await (const lines of reading) {
      place.pass(lines, daemonName);
      if (lines.length > 0) await stream.sendInTurn(messageOf(linesEvent(lines), place.word));
    }
    passed = target;
  }
  // Nothing waits between the last look at how far it is and this: no line is missed, and none comes twice.
  broadcast.join(stream, signal);
}

/** One reading of what is written from now on. Begins at once; goes on while somebody keeps it. */
class LogBroadcast {
  readonly cursor: LogCursor;
  /** Changes with the cursor. */
  moves = 0;
  readonly #followers = new Set<EventStream>();
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

  /** Sends it what comes, until the signal fires. */
  join(stream: EventStream, signal: AbortSignal): void {
    if (signal.aborted) return;
    this.#followers.add(stream);
    signal.addEventListener('abort', () => this.#followers.delete(stream), { once: true });
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
      this.cursor.pass(lines, daemonName);
      this.moves += 1;
      const message = messageOf(linesEvent(lines), this.cursor.word);
      for (const each of this.#followers) each.send(message);
    }
  }
}

const linesEvent = (lines: readonly NamedLine[]): LinesEvent => ({ event: 'lines', data: lines.map(logRecord) });
