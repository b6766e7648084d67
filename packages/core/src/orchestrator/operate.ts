import type { ErrorReport } from '../errors/mgpu-error.ts';
import { reportError } from '../errors/mgpu-error.ts';
import type { InstanceStatus } from '../service/types.ts';
import { between, type Graph, reverse, walk } from './graph.ts';

/** What somebody may ask of instances. */
export type InstanceVerb = 'start' | 'stop' | 'restart';

/** What came of it for one of them. */
export interface InstanceOutcome {
  /** As it is afterwards. */
  readonly instance: InstanceStatus;
  /** Why it was not done; absent when it was. */
  readonly error?: ErrorReport;
}

/** The two halves of everything that can be asked. */
export interface InstanceActs {
  start(id: string): Promise<void>;
  stop(id: string): Promise<void>;
}

/**
 * Stops and starts instances, independent ones at the same time: whoever uses another of them ends before it and comes back after
 * it. A failure keeps none of the others from their turn. Resolves with the errors by id.
 */
export async function operate(
  verb: InstanceVerb,
  ids: ReadonlySet<string>,
  graph: Graph,
  acts: InstanceActs,
): Promise<ReadonlyMap<string, ErrorReport>> {
  const errors = new Map<string, ErrorReport>();
  const uses = between(graph, ids);
  const stopped = new Map([...ids].map((id) => [id, Promise.withResolvers<void>()]));
  const settle = async (id: string, act: (id: string) => Promise<void>) => {
    try {
      await act(id);
      errors.delete(id); // whatever its end left: it is back
    } catch (error) {
      errors.set(id, reportError(error));
    }
  };
  const stopping = walk(reverse(uses), async (id) => {
    if (verb !== 'start') await settle(id, acts.stop);
    stopped.get(id)?.resolve();
  });
  const starting = walk(uses, async (id) => {
    await stopped.get(id)?.promise;
    if (verb !== 'stop') await settle(id, acts.start);
  });
  await Promise.all([stopping, starting]);
  return errors;
}
