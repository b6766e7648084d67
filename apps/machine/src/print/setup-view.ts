import type { SetupProgress, SetupStep } from '@mgpu/a1111/setup';
import type { BuildProgress, RollOutProgress } from '@mgpu/comfyui/setup';
import { systemClock } from '@mgpu/core';
import { paint } from './colours.ts';
import type { Output } from './output.ts';
import { bar, clip, duration, lineWidth, marks } from './text.ts';

const nameWidth = 14;

const names: Readonly<Record<BuildProgress['step'] | SetupStep, string>> = {
  checkout: 'checkout',
  helpers: 'helpers',
  environment: 'environment',
  torch: 'torch',
  requirements: 'requirements',
  extras: 'extras',
  nodes: 'custom nodes',
  verify: 'verification',
};

/** Steps of an installation as they end, and on a terminal what the present one is about. */
export class SetupView {
  readonly #output: Output;
  readonly #began = new Map<string, number>();

  constructor(output: Output) {
    this.#output = output;
  }

  step({ step, state, detail = '', ...rest }: BuildProgress | SetupProgress): void {
    const name = names[step];
    if (state === 'skipped') return;
    if (state === 'done') {
      this.#line(marks.ok, name);
      return;
    }
    this.#begin(name);
    this.#show(name, detail, 'percent' in rest ? rest.percent : undefined);
  }

  instance({ instance, state }: RollOutProgress): void {
    if (state === 'moving') {
      this.#begin(instance);
      this.#show(instance, 'moves to it');
    } else if (state === 'moved') this.#line(marks.ok, instance);
    else if (state === 'failed') this.#line(marks.error, instance);
    else this.#line(marks.warning, instance, 'is back on the one before');
  }

  /** Nothing more comes. */
  end(): void {
    this.#output.transient('');
  }

  #begin(name: string): void {
    if (!this.#began.has(name)) this.#began.set(name, systemClock.elapsed());
  }

  #line(mark: string, name: string, about = ''): void {
    const began = this.#began.get(name);
    const took = began === undefined ? '' : duration(systemClock.elapsed() - began);
    this.#output.line(`  ${mark} ${name.padEnd(nameWidth)} ${took.padStart(10)}${about && `  ${paint.dim(about)}`}`);
  }

  #show(name: string, detail: string, percent?: number): void {
    const text = detail === '' ? name : `${name}: ${detail}`;
    this.#output.progress({ text, percent }, () => {
      const about = percent === undefined ? detail : `${bar(percent)}  ${detail}`;
      return `  ${marks.running} ${name.padEnd(nameWidth)} ${paint.dim(clip(about, lineWidth - nameWidth - 6))}`;
    });
  }
}
