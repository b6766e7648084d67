import type { Clock, Observation, SupervisedInstance } from '@mgpu/core';
import type { FaultLadder } from './fault-ladder.ts';
import { Histories } from './histories.ts';
import { wasRunning } from './present-run.ts';
import { cudaOutOfMemory } from './rules/cuda-out-of-memory.ts';
import { cudaPoisoned } from './rules/cuda-poisoned.ts';
import type { EngineFailure } from './rules/engine-failure.ts';
import { jobFault } from './rules/job-fault.ts';

const rules = [jobFault, cudaOutOfMemory, cudaPoisoned];

/** What was judged last of an engine. */
interface Judged {
  readonly run: string | undefined;
  /** ISO time of the fault. */
  readonly at: string;
}

/** Judges what workers tell of their engines' faults, each once. */
export class EngineFaults {
  readonly #clock: Clock;
  readonly #ladder: FaultLadder;
  /** Of the present run of each engine. */
  readonly #histories = new Histories<EngineFailure>(32);
  readonly #judged = new Map<string, Judged>();

  constructor(clock: Clock, ladder: FaultLadder) {
    this.#clock = clock;
    this.#ladder = ladder;
  }

  look(observations: readonly Observation[], instances: readonly SupervisedInstance[]): void {
    for (const { instance: id, fault } of observations) {
      const engine = instances.find((each) => each.id === id);
      const judged = this.#judged.get(id);
      // A fault is told until a job succeeds, whatever became of the engine.
      if (!engine || !fault || judged?.at === fault.at || !wasRunning(engine, Date.parse(fault.at))) continue;
      const { run } = engine.status;
      if (judged?.run !== run) this.#histories.forget(id);
      this.#judged.set(id, { run, at: fault.at });
      const { job, error } = fault;
      const failure = { at: this.#clock.elapsed(), instance: id, job, code: error.code, text: error.message };
      const history = this.#histories.add(id, failure);
      this.#ladder.happened(rules.flatMap((rule) => rule(history)));
    }
  }
}
