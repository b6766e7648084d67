import type { SupervisedInstance, WorkInHand } from '../supervision/supervisor.ts';

/** The jobs that instances have in hand, as whoever feeds them says. */
export function workByInstance(
  instances: readonly Pick<SupervisedInstance, 'observations'>[],
): ReadonlyMap<string, readonly WorkInHand[]> {
  const busy = instances.flatMap((feeder) => feeder.observations()).filter(({ work }) => work.length > 0);
  const byInstance = Map.groupBy(busy, ({ instance }) => instance);
  return new Map([...byInstance].map(([id, said]) => [id, said.flatMap(({ work }) => work)]));
}
