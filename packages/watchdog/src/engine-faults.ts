import type { Clock, SupervisedInstance } from '@mgpu/core';
import type { FaultLadder } from './fault-ladder.ts';
import type { Feeders } from './feeders.ts';
import { Histories } from './histories.ts';
import { wasRunning } from './present-run.ts';
import { cudaOutOfMemory } from './rules/cuda-out-of-memory.ts';
import { cudaPoisoned } from './rules/cuda-poisoned.ts';
import type { EngineFailure } from './rules/engine-failure.ts';
import { jobFault } from './rules/job-fault.ts';

const rules = [jobFault, cudaOutOfMemory, cudaPoisoned];

/** Judges what workers tell of their engines' faults, each once. */
export class EngineFaults {
  readonly #clock: Clock;
  readonly #ladder: FaultLadder;
  /** Of the present run of each engine. */
  readonly #histories = new Histories<EngineFailure>({ keepMs: 3_600_000, most: 32 });
  readonly #runs = new Map<string, string | undefined>();
  /** ISO time of the fault that was judged last, by who tells it and of whom. */
  readonly #judged = new Map<string, string>();

  constructor(clock: Clock, ladder: FaultLadder) {
    this.#clock = clock;
    this.#ladder = ladder;
  }

  look(observations: ReturnType<Feeders['ask']>, instances: readonly SupervisedInstance[]): void {
    for (const { feeder, instance: id, fault } of observations) {
      const engine = instances.find((each) => each.id === id);
      const told = `${feeder} ${id}`;
      // A fault is told until a job succeeds, whatever became of the engine.
      if (!engine || !fault || this.#judged.get(told) === fault.at) continue;
      if (!wasRunning(engine, Date.parse(fault.at))) continue;
      this.#judged.set(told, fault.at);
      const { run } = engine.status;
      if (this.#runs.get(id) !== run) this.#histories.forget(id);
      this.#runs.set(id, run);
      const { job, error } = fault;
      const failure = { at: this.#clock.elapsed(), instance: id, job, code: error.code, text: error.message };
      const history = this.#histories.add(id, failure);
      this.#ladder.happened(rules.flatMap((rule) => rule(history)));
    }
  }
}
