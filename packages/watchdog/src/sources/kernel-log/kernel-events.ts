import { readFileSync } from 'node:fs';
import { type Clock, followCommand, type Logger } from '@mgpu/core';
import { type KernelEvent, kernelLineParser, kernelSeconds } from './kernel-event.ts';
import { fileReader, type KernelLogReader, kernelLogReaders } from './readers.ts';
import { stormFilter } from './storm-filter.ts';

export interface KernelLogOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** The environment that the helpers inherit. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** A file to follow from its present end on, in place of the kernel's log. */
  readonly path?: string | undefined;
  /**
   * `Clock.elapsed()`, on a clock that counts from the boot, of the oldest event wanted: for who was away for a moment.
   * Not for a file. Default: from now on.
   */
  readonly since?: number | undefined;
}

/** An event, and when it happened: monotonic milliseconds, as `Clock.elapsed`. */
export type TimedKernelEvent = KernelEvent & { readonly at: number };

/** Milliseconds between a reader's end and its next start: doubled up to the longest, short again after a line. */
const shortestPauseMs = 1_000;
const longestPauseMs = 60_000;
/** A reader that may not read ends at once. */
const worksAfterMs = 5_000;

/**
 * What the kernel's log says of GPUs and of memory, as it happens, each thing once a minute. A reader that ends is
 * started again. Where the log cannot be read at all, that is said once, as a warning, and the iteration ends.
 */
export async function* kernelEvents(options: KernelLogOptions): AsyncGenerator<TimedKernelEvent, void> {
  const { clock, log, signal, env, path } = options;
  const times = new Times(options);
  const isNew = stormFilter();
  const complaints: string[] = [];
  let readers = path === undefined ? kernelLogReaders() : [fileReader(path)];
  let pauseMs = shortestPauseMs;
  while (!signal.aborted) {
    const [reader] = readers;
    if (!reader) {
      log.warn(`the kernel's log cannot be read, GPU faults are seen later or not at all: ${complaints.join('; ')}`, {
        hint: 'run as root, or allow it with `sysctl kernel.dmesg_restrict=0`; a container needs CAP_SYSLOG',
      });
      return;
    }
    const started = clock.elapsed();
    const { args, timeOf } = times.begin(reader);
    const parse = kernelLineParser();
    const lines = followCommand(reader.file, args, { env, signal });
    let works = false;
    let next = await lines.next();
    try {
      for (; !next.done; next = await lines.next()) {
        works = true;
        pauseMs = shortestPauseMs;
        const event = parse(next.value);
        const at = timeOf(next.value);
        if (event && at !== undefined && isNew(event, at)) yield { ...event, at };
      }
    } finally {
      await lines.return('left');
    }
    if (signal.aborted) return;
    if (path === undefined && !works && clock.elapsed() - started < worksAfterMs) {
      complaints.push(`${reader.file}: ${next.value}`);
      readers = readers.slice(1);
      continue;
    }
    const text = `${reader.file} ended while it read ${path ?? "the kernel's log"}: ${next.value}; it is started again`;
    if (pauseMs === shortestPauseMs) log.warn(text);
    else log.debug(text);
    readers = path === undefined ? [reader] : [fileReader(path)];
    await clock.sleep(pauseMs, { signal }).catch(() => {}); // aborted: the loop ends
    pauseMs = Math.min(pauseMs * 2, longestPauseMs);
  }
}

/** Knows which lines were read before, and when the others were written. */
class Times {
  readonly #clock: Clock;
  readonly #opened = uptimeSeconds();
  /** From the seconds of the kernel to the milliseconds of the clock. */
  readonly #offset: number;
  readonly #isFile: boolean;
  /** Lines up to here were read, or are not wanted. */
  #newest: number | undefined;

  constructor({ clock, since, path }: KernelLogOptions) {
    this.#clock = clock;
    this.#offset = clock.elapsed() - this.#opened * 1_000;
    this.#isFile = path !== undefined;
    this.#newest = since === undefined ? undefined : (since - this.#offset) / 1_000;
  }

  /** How to start a reader, and the time of each line it prints; undefined for lines that are not wanted. */
  begin(reader: KernelLogReader): { args: readonly string[]; timeOf: (line: string) => number | undefined } {
    if (this.#isFile) return { args: reader.args('next'), timeOf: () => this.#clock.elapsed() };
    const from = this.#newest ?? reader.newestSeconds;
    const timeOf = (line: string) => {
      const seconds = kernelSeconds(line);
      if (seconds === undefined) return this.#clock.elapsed();
      if (from !== undefined && seconds <= from) return undefined;
      this.#newest = Math.max(this.#newest ?? 0, seconds);
      // The kernel's log has a clock of its own, a little off: good enough for what is past, where there is no better.
      const isPast = from !== undefined && seconds < this.#opened;
      return isPast ? seconds * 1_000 + this.#offset : this.#clock.elapsed();
    };
    return { args: reader.args(from === undefined ? 'next' : 'remembered'), timeOf };
  }
}

const uptimeSeconds = (): number => Number.parseFloat(readFileSync('/proc/uptime', 'utf8'));
