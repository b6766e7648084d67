import { z } from 'zod';
import { envelope } from '../contract.ts';
import { answer, type Routing } from './route.ts';
import { waitForEnd } from './waiting.ts';

/** Operations, and the tasks they run as. */
export function operationRoutes(routing: Routing): void {
  const { control, streams, tasks } = routing;

  answer(routing, 'listOperations', () =>
    envelope(
      'Operations',
      control.operations.map(({ name, summary, changes, input }) => ({
        name,
        summary,
        changes,
        input: z.toJSONSchema(input, { io: 'input', unrepresentable: 'any' }),
      })),
    ),
  );
  answer(routing, 'startOperation', async ({ params, query, body, reply }) => {
    const { id } = tasks.start(params.operation, body);
    if (query.wait !== undefined) await waitForEnd(reply, query.wait, (signal) => tasks.watch(id, { signal }));
    const task = tasks.get(id);
    return reply
      .status(task.state === 'running' ? 202 : 200)
      .header('location', `/v1/tasks/${id}`)
      .send(envelope('Task', task));
  });
  answer(routing, 'listTasks', () => envelope('Tasks', tasks.list()));
  answer(routing, 'getTask', ({ params: { id } }) => envelope('Task', tasks.get(id)));
  answer(routing, 'cancelTask', async ({ params: { id } }) => envelope('Task', await tasks.cancel(id)));
  answer(routing, 'watchTask', async ({ params: { id }, reply }) => {
    tasks.get(id); // an unknown task is an answer, not a stream
    const stream = streams.open(reply);
    await streams.pass(stream, (signal) => tasks.watch(id, { signal }));
  });
}
