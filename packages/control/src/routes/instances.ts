import { coreErrors, type InstanceStatus, type InstanceVerb, selectInstances } from '@mgpu/core';
import { envelope } from '../contract.ts';
import { OwnServiceError } from '../errors.ts';
import { messageOf } from '../streams/event-stream.ts';
import { goneOf } from './gone.ts';
import { answer, type Face, type Routing } from './route.ts';

/** Single instances, and many at once. */
export function instanceRoutes(routing: Routing): void {
  const { control, face, streams } = routing;
  const instanceAnswer = (id: string) => envelope('Instance', expectInstance(control.status().instances, id));

  answer(routing, 'listInstances', ({ query: { select } }) => {
    const status = control.status();
    return envelope('InstanceList', select ? selectInstances(select, status) : status.instances);
  });
  answer(routing, 'getInstance', ({ params: { id } }) => instanceAnswer(id));
  answer(routing, 'startInstance', async ({ params: { id } }) => {
    await control.startInstance(id);
    return instanceAnswer(id);
  });
  answer(routing, 'stopInstance', async ({ params: { id }, body }) => {
    expectOther(face, id, 'stop');
    await control.stopInstance(id, body);
    return instanceAnswer(id);
  });
  answer(routing, 'restartInstance', async ({ params: { id }, body }) => {
    expectOther(face, id, 'restart');
    await control.restartInstance(id, body);
    return instanceAnswer(id);
  });

  const many = { startInstances: 'start', stopInstances: 'stop', restartInstances: 'restart' } as const;
  for (const [id, verb] of Object.entries(many) as [keyof typeof many, InstanceVerb][]) {
    answer(routing, id, async ({ body: { select, force }, reply }) => {
      const outcomes = await control.operate(verb, idsToMove(routing, verb, select), { force });
      const isPartly = outcomes.some(({ error }) => error !== undefined);
      return reply.status(isPartly ? 207 : 200).send(envelope('Instances', outcomes));
    });
  }

  // For as long as the answer is open: whoever holds it and dies holds it no longer.
  answer(routing, 'holdInstance', async ({ params: { id }, body: { why }, reply }) => {
    await control.holdInstance(id, { why, signal: goneOf(reply) });
    streams.open(reply).send(messageOf({ event: 'held' }));
  });
}

/** A face is not moved by what came over it. Throws `CONTROL_OWN_SERVICE`. */
function expectOther(face: Face, id: string, verb: InstanceVerb): void {
  if (id === face.instance && verb !== 'start') throw new OwnServiceError({ instance: id, verb });
}

/**
 * Those that selectors name; where they name the face itself only among others, without it. Throws `CONTROL_OWN_SERVICE`,
 * `CORE_SELECTOR_UNKNOWN` and `CORE_GPU_UNKNOWN`.
 */
export function idsToMove(
  { control, face }: Pick<Routing, 'control' | 'face'>,
  verb: InstanceVerb,
  select: readonly string[],
): readonly string[] {
  for (const each of select) expectOther(face, each, verb);
  const ids = selectInstances(select, control.status()).map(({ id }) => id);
  return ids.filter((id) => verb === 'start' || id !== face.instance);
}

/** Throws `CORE_SERVICE_UNKNOWN`. */
export function expectInstance(instances: readonly InstanceStatus[], id: string): InstanceStatus {
  const found = instances.find((each) => each.id === id);
  if (found) return found;
  throw new coreErrors.InstanceUnknownError({ instance: id, known: instances.map((each) => each.id) });
}
