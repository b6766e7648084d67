import type { Clock } from '../clock.ts';
import type { NamedLine } from './line-sieve.ts';

/** What a merge takes lines from, in steps. */
export interface LineSource {
  /** The lines since the last step, up to the present end. */
  read(signal: AbortSignal): AsyncGenerator<readonly NamedLine[], void>;
  /** The line at the end that has not ended, when it is another one than at the last step. */
  partial(): NamedLine | undefined;
  /** Resolves when there may be more. */
  changed(signal: AbortSignal): Promise<void>;
}

/** Milliseconds that a new line waits for older ones of logs that were silent when it came. */
const windowMs = 150;

/** Lines given out at once, at most. */
const mostLines = 1_000;

/** A source, and what was read of it: one batch, before all of which is taken nothing is read. */
class Inlet {
  /** `reading`: more may come at any time. `waiting`: nothing is there at present. */
  state: 'reading' | 'waiting' | 'ended' = 'reading';
  #lines: readonly NamedLine[] = [];
  #next = 0;
  #receivedAt = 0;
  #taken = () => {};

  get head(): NamedLine | undefined {
    return this.#lines[this.#next];
  }

  /** Resolves when all are taken, or nobody waits for that any more. */
  offer(lines: readonly NamedLine[], elapsed: number): Promise<void> {
    if (lines.length === 0) return Promise.resolve();
    this.#lines = lines;
    this.#next = 0;
    this.#receivedAt = elapsed;
    return new Promise((resolve) => {
      this.#taken = resolve;
    });
  }

  release(): void {
    this.#taken();
  }

  /** Whether whatever is older than its head, anywhere, has been read by now. */
  isSettled({ now, elapsed }: { now: number; elapsed: number }): boolean {
    return (this.head?.time ?? 0) <= now - windowMs || this.#receivedAt <= elapsed - windowMs;
  }

  take(): void {
    this.#next += 1;
    if (this.#next === this.#lines.length) this.#taken();
  }
}

/**
 * Lines of many logs as one stream, in the order of their times; those of one log stay in theirs, and where times are equal
 * the log that was added first comes first. Holds one batch of each, whatever their size and however slow who reads it.
 * While it is followed, a line waits a moment for older ones of logs that are silent.
 */
export class LogMerge implements AsyncDisposable {
  readonly #isFollowed: boolean;
  readonly #clock: Clock;
  readonly #end = new AbortController();
  readonly #inlets: Inlet[] = [];
  readonly #running: Promise<void>[] = [];
  #problem: { readonly error: unknown } | undefined;
  #wake = () => {};
  #isNews = false;

  /** The signal ends the reading: what is read until then is given out. */
  constructor({ follow, clock, signal }: { follow: boolean; clock: Clock; signal?: AbortSignal | undefined }) {
    this.#isFollowed = follow;
    this.#clock = clock;
    if (signal?.aborted) this.#stop();
    signal?.addEventListener('abort', () => this.#stop(), { once: true, signal: this.#end.signal });
  }

  /** Takes another log in; `onProblem` gets what its reading fails with, after which the others go on. */
  add(source: LineSource, onProblem: (error: unknown) => void): void {
    const inlet = new Inlet();
    this.#inlets.push(inlet);
    this.run(async () => {
      await this.#pump(source, inlet).catch(onProblem);
      inlet.state = 'ended';
    });
  }

  /** Work that goes on beside the reading until the signal fires; the reading fails with it. */
  run(work: (signal: AbortSignal) => Promise<void>): void {
    const running = work(this.#end.signal).catch((error) => {
      this.#problem ??= { error };
    });
    this.#running.push(running.finally(() => this.#tell()));
  }

  async *lines(): AsyncGenerator<NamedLine[], void> {
    for (;;) {
      this.#isNews = false;
      const { lines, isHeldBack } = this.#take();
      if (lines.length > 0) yield lines;
      else if (this.#isOver) break;
      else await this.#news(isHeldBack);
    }
    if (this.#problem) throw this.#problem.error;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop();
    await Promise.all(this.#running);
  }

  #stop(): void {
    this.#end.abort();
    for (const inlet of this.#inlets) inlet.release();
    this.#tell();
  }

  get #isOver(): boolean {
    if (this.#problem) return true;
    const hasEnded = this.#inlets.every(({ state }) => state === 'ended');
    return hasEnded && (!this.#isFollowed || this.#end.signal.aborted);
  }

  async #pump(source: LineSource, inlet: Inlet): Promise<void> {
    const { signal } = this.#end;
    const offer = async (lines: readonly NamedLine[]) => {
      if (signal.aborted) return;
      const taken = inlet.offer(lines, this.#clock.elapsed());
      this.#tell();
      await taken;
    };
    for (;;) {
      for await (const lines of source.read(signal)) await offer(lines);
      const partial = source.partial();
      if (partial) await offer([partial]);
      if (!this.#isFollowed || signal.aborted) return;
      inlet.state = 'waiting';
      this.#tell();
      await source.changed(signal);
      inlet.state = 'reading';
    }
  }

  /** What can be given out: nothing older can come any more. */
  #take(): { lines: NamedLine[]; isHeldBack: boolean } {
    const lines: NamedLine[] = [];
    const time = { now: this.#clock.now(), elapsed: this.#clock.elapsed() };
    while (lines.length < mostLines) {
      if (this.#inlets.some(({ state, head }) => state === 'reading' && !head)) return { lines, isHeldBack: false };
      const { first, limit } = this.#oldest();
      if (!first) return { lines, isHeldBack: false };
      const isSilent = this.#inlets.some(({ state, head }) => state === 'waiting' && !head);
      for (let { head } = first; head && head.time <= limit && lines.length < mostLines; head = first.head) {
        if (isSilent && !first.isSettled(time)) return { lines, isHeldBack: true };
        lines.push(head);
        first.take();
      }
    }
    return { lines, isHeldBack: false };
  }

  /** Who has the oldest line, and up to which time its lines are older than everybody else's. */
  #oldest(): { first: Inlet | undefined; limit: number } {
    let first: Inlet | undefined;
    let firstTime = Number.POSITIVE_INFINITY;
    let limit = Number.POSITIVE_INFINITY;
    for (const inlet of this.#inlets) {
      const { head } = inlet;
      if (!head) continue;
      if (!first || head.time < firstTime) {
        // Those before it come first when the times are equal.
        limit = Math.min(firstTime - 1, limit);
        first = inlet;
        firstTime = head.time;
      } else {
        limit = Math.min(limit, head.time);
      }
    }
    return { first, limit: Math.max(limit, firstTime) };
  }

  #tell(): void {
    this.#isNews = true;
    this.#wake();
  }

  async #news(isHeldBack: boolean): Promise<void> {
    if (this.#isNews) return;
    const woken = Promise.withResolvers<void>();
    const over = new AbortController();
    this.#wake = woken.resolve;
    if (isHeldBack) this.#clock.sleep(windowMs, { signal: over.signal }).then(woken.resolve, () => {});
    await woken.promise;
    over.abort();
  }
}
