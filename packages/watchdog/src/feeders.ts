import type { Observation, SupervisedInstance, Supervisor } from '@mgpu/core';

/** Who feeds whom, as the workers say: what was said stays known while they are down. */
export class Feeders {
  readonly #supervisor: Supervisor;
  /** By feeder. */
  readonly #engines = new Map<string, ReadonlySet<string>>();

  constructor(supervisor: Supervisor) {
    this.#supervisor = supervisor;
  }

  /** What they know at the moment. */
  ask(): readonly (Observation & { readonly feeder: string })[] {
    return this.#supervisor.instances().flatMap((each) => {
      const said = each.observations();
      if (said.length > 0) this.#engines.set(each.id, new Set(said.map(({ instance }) => instance)));
      return said.map((observation) => ({ ...observation, feeder: each.id }));
    });
  }

  /** Of one engine, or of any. */
  of(engine?: string): readonly SupervisedInstance[] {
    this.ask();
    return this.#supervisor.instances().filter(({ id }) => {
      const engines = this.#engines.get(id);
      return engines !== undefined && (engine === undefined || engines.has(engine));
    });
  }
}
