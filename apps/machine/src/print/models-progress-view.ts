import { systemClock } from '@mgpu/core';
import { type ModelProgress, shortPath } from '@mgpu/models';
import { paint } from './colours.ts';
import type { Output } from './output.ts';
import { bar, clip, duration, fileSize, lineWidth, marks } from './text.ts';

/** Downloads as they end, and on a terminal how those that run fare together: bar, rate, and how long it will take. */
export class ModelsProgressView {
  readonly #output: Output;
  readonly #running = new Map<string, ModelProgress>();
  readonly #began = new Map<string, number>();

  constructor(output: Output) {
    this.#output = output;
  }

  readonly show = (progress: ModelProgress): void => {
    const { path, state, received, error } = progress;
    const name = shortPath(path);
    if (!this.#began.has(path)) this.#began.set(path, systemClock.elapsed());
    if (state === 'running') this.#running.set(path, progress);
    else if (state === 'done') {
      this.#running.delete(path);
      const took = duration(systemClock.elapsed() - (this.#began.get(path) ?? 0));
      this.#output.line(`  ${marks.ok} ${fileSize(received).padStart(9)} ${took.padStart(12)}  ${name}`);
    } else if (state === 'failed')
      this.#running.delete(path); // told at the end
    else this.#show(marks.warning, `${name}: ${error?.message ?? 'waits'}`);
    if (state === 'running') this.#showRunning();
  };

  /** A model is read from beginning to end. */
  readonly reading = (path: string): void => this.#show(marks.running, `reads ${shortPath(path)}`);

  /** Nothing more comes. */
  end(): void {
    this.#output.transient('');
  }

  #showRunning(): void {
    const all = [...this.#running.values()];
    const sum = (of: (each: ModelProgress) => number | undefined) =>
      all.reduce<number | undefined>((total, each) => {
        const value = of(each);
        return total === undefined || value === undefined ? undefined : total + value;
      }, 0);
    const received = sum((each) => each.received) ?? 0;
    const total = sum((each) => each.total);
    const rate = all.reduce((fastest, { bytesPerSecond = 0 }) => fastest + bytesPerSecond, 0);
    const percent = total ? (received / total) * 100 : undefined;
    const about = [
      percent === undefined ? fileSize(received) : '',
      rate > 0 ? `${fileSize(Math.round(rate))}/s` : '',
      total && rate > 0 ? duration(((total - received) / rate) * 1_000) : '',
    ].filter(Boolean);
    const [first] = all;
    const name = all.length === 1 && first ? shortPath(first.path) : `${all.length} models`;
    const text = [name, ...about].join(', ');
    this.#output.progress({ text, percent }, () => {
      const shown = [...(percent === undefined ? [] : [bar(percent)]), ...about, paint.dim(name)];
      return `  ${marks.running} ${shown.join('  ')}`;
    });
  }

  #show(mark: string, text: string): void {
    this.#output.progress({ text }, () => `  ${mark} ${clip(text, lineWidth)}`);
  }
}
