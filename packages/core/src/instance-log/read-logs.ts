import { type Clock, systemClock } from '../clock.ts';
import type { NamedLine } from './line-sieve.ts';
import { type LineRange, type NamedLog, openLineSource } from './line-source.ts';
import { LogMerge } from './log-merge.ts';

export interface ReadLogsOptions extends LineRange {
  /** The last so many of all lines that are wanted, and what follows. */
  readonly last?: number | undefined;
  /** Characters that those may have together; the first of them are left out beyond it. Default: any number. */
  readonly lastChars?: number | undefined;
  /** Goes on with what is written from now on, until the signal fires. Not with `until`. Default false. */
  readonly follow?: boolean | undefined;
  /** What there is now, asked about every second while logs are followed: those that are new join. */
  readonly find?: (() => readonly NamedLog[]) | undefined;
  /** Gets what the reading of one log failed with; the others go on. Default: the whole reading fails. */
  readonly onProblem?: ((name: string, error: unknown) => void) | undefined;
  /** Ends the reading. */
  readonly signal?: AbortSignal | undefined;
  readonly clock?: Clock;
}

/** Milliseconds between two looks for new logs. */
const findMs = 1_000;

/** Milliseconds by which the time of a line may be late. */
const inexactMs = 5_000;

type Source = Awaited<ReturnType<typeof openLineSource>>;

/**
 * The lines of many logs in the order of their times, many at once; those of one log stay in their order. Times are exact
 * to about a second. A line that has no end yet comes as `isPartial`: while logs are followed, again and again as it grows,
 * each time with the same offset. Memory is bounded by a batch of each log and by `last`, whatever is read and however
 * slowly. Throws as `readLog` does.
 */
export async function* readLogs(
  logs: readonly NamedLog[],
  options: ReadLogsOptions = {},
): AsyncGenerator<NamedLine[], void> {
  const { last, signal, clock = systemClock } = options;
  const begun = clock.now();
  using opened = new OpenLogs(options, clock);
  await opened.open(logs, options);
  {
    await using past = new LogMerge({ follow: false, clock, signal });
    opened.into(past);
    yield* last === undefined ? past.lines() : lastOf(past.lines(), last, options.lastChars);
  }
  if (!options.follow || signal?.aborted) return;
  await using present = new LogMerge({ follow: true, clock, signal });
  opened.into(present);
  // What is older in a log that joins was there before: somebody brought it along.
  const since = Math.max(options.since ?? 0, begun - inexactMs);
  present.run(async (over) => {
    while (!over.aborted) {
      await opened.open(options.find?.() ?? [], { ...options, since, last: undefined });
      opened.into(present);
      await clock.sleep(findMs, { signal: over }).catch(() => {}); // over
    }
  });
  yield* present.lines();
}

class OpenLogs implements Disposable {
  readonly #names = new Set<string>();
  readonly #sources: { readonly name: string; readonly source: Source }[] = [];
  readonly #taken = new WeakMap<LogMerge, number>();
  readonly #onProblem: ReadLogsOptions['onProblem'];
  readonly #clock: Clock;

  constructor({ onProblem }: ReadLogsOptions, clock: Clock) {
    this.#onProblem = onProblem;
    this.#clock = clock;
  }

  /** Those that are not open yet. */
  async open(logs: readonly NamedLog[], range: LineRange): Promise<void> {
    const others = logs.filter(({ name }) => !this.#names.has(name));
    for (const { name } of others) this.#names.add(name);
    const sources = others.map((log) => openLineSource(log, range, this.#clock).catch(this.#problemOf(log.name)));
    for (const [index, source] of (await Promise.all(sources)).entries())
      if (source) this.#sources.push({ name: others[index]?.name ?? '', source });
  }

  /** Lets a merge take from those that it does not yet take from. */
  into(merge: LogMerge): void {
    const taken = this.#taken.get(merge) ?? 0;
    this.#taken.set(merge, this.#sources.length);
    for (const { name, source } of this.#sources.slice(taken)) merge.add(source, this.#problemOf(name));
  }

  [Symbol.dispose](): void {
    for (const { source } of this.#sources) source[Symbol.dispose]();
  }

  #problemOf(name: string) {
    return (error: unknown): undefined => {
      if (!this.#onProblem) throw error;
      this.#onProblem(name, error);
    };
  }
}

async function* lastOf(
  lines: AsyncIterable<readonly NamedLine[]>,
  count: number,
  mostChars = Number.POSITIVE_INFINITY,
): AsyncGenerator<NamedLine[], void> {
  let kept: NamedLine[] = [];
  let chars = 0;
  const cut = () => {
    let first = Math.max(0, kept.length - count);
    chars = kept.slice(first).reduce((sum, { text }) => sum + text.length, 0);
    while (chars > mostChars) chars -= kept[first++]?.text.length ?? 0;
    kept = kept.slice(first);
  };
  for await (const some of lines) {
    kept.push(...some);
    chars += some.reduce((sum, { text }) => sum + text.length, 0);
    if (kept.length > 2 * count || chars > 2 * mostChars) cut();
  }
  cut();
  yield kept;
}
