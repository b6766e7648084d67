import type { Clock, Observation } from '@mgpu/core';
import type { FaultLadder } from './fault-ladder.ts';
import { Histories } from './histories.ts';
import { cudaOutOfMemory } from './rules/cuda-out-of-memory.ts';
import { cudaPoisoned } from './rules/cuda-poisoned.ts';
import type { EngineFailure } from './rules/engine-failure.ts';
import { jobFault } from './rules/job-fault.ts';

const rules = [jobFault, cudaOutOfMemory, cudaPoisoned];

/** Judges what workers tell of their engines' faults, each once. */
export class EngineFaults {
  readonly #clock: Clock;
  readonly #ladder: FaultLadder;
  readonly #histories = new Histories<EngineFailure>(32);
  /** The fault of each engine that was judged last. */
  readonly #seen = new Map<string, string>();

  constructor(clock: Clock, ladder: FaultLadder) {
    this.#clock = clock;
    this.#ladder = ladder;
  }

  look(observations: readonly Observation[]): void {
    for (const { instance, fault } of observations) {
      if (!fault || this.#seen.get(instance) === fault.at) continue;
      this.#seen.set(instance, fault.at);
      const { job, error } = fault;
      const failure = { at: this.#clock.elapsed(), instance, job, code: error.code, text: error.message };
      const history = this.#histories.add(instance, failure);
      this.#ladder.happened(rules.flatMap((rule) => rule(history)));
    }
  }
}
