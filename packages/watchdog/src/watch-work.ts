import type { Clock, Observation, SupervisedInstance } from '@mgpu/core';
import { StalledError } from './errors.ts';
import { evidenceOf } from './evidence.ts';

/** Differs whenever work in the instance's hand came, went or made progress. */
export const progressIn = (observations: readonly Observation[], instance: string): string =>
  observations
    .filter((each) => each.instance === instance)
    .flatMap(({ work }) => work.map(({ job, progressAt }) => `${job} ${progressAt}`))
    .toSorted()
    .join('\n');

/** Knows since when the work in an engine's hand has stood still. Own time: the clocks of others may be put forward. */
export class WorkWatch {
  readonly #clock: Clock;
  readonly #standing = new Map<string, { readonly progress: string; readonly since: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Ends the run when it has had work in hand without progress for `stallAfterMs`. */
  async look(
    instance: SupervisedInstance,
    observations: readonly Observation[],
    { stallAfterMs }: { stallAfterMs: number },
  ): Promise<void> {
    const { id } = instance;
    const { run, state } = instance.status;
    const progress = `${run}\n${progressIn(observations, id)}`;
    const jobs = observations.filter((each) => each.instance === id).flatMap(({ work }) => work.map(({ job }) => job));
    if (jobs.length === 0 || state !== 'running') {
      this.#standing.delete(id);
      return;
    }
    const now = this.#clock.elapsed();
    const standing = this.#standing.get(id);
    if (standing?.progress !== progress) {
      this.#standing.set(id, { progress, since: now });
      return;
    }
    if (now - standing.since < stallAfterMs) return;
    this.#standing.delete(id);
    const seen = await evidenceOf(instance);
    if (instance.status.run !== run) return;
    instance.fail(new StalledError({ instance: id, jobs, forMs: now - standing.since, ...seen }));
  }
}
