import { envelope } from '../contract.ts';
import { messageOf } from '../streams/event-stream.ts';
import { answer, type Routing } from './route.ts';

/** The machine as a whole. */
export function machineRoutes(routing: Routing): void {
  const { control, face, history, streams, openApi } = routing;
  answer(routing, 'getStatus', async () => envelope('Status', await control.overview()));
  answer(routing, 'getBoot', () => envelope('Boot', control.status().boot));
  answer(routing, 'getConfig', () => envelope('Config', control.config()));
  answer(routing, 'getMetrics', async ({ reply }) =>
    reply.type('text/plain; version=0.0.4; charset=utf-8').send(await control.metrics()),
  );
  answer(routing, 'getOpenApi', async ({ reply }) =>
    reply.type('application/json; charset=utf-8').send(await openApi()),
  );
  answer(routing, 'getIncidents', async ({ query: { subject, since = 0, limit } }) => {
    const wanted = (await control.incidents()).filter(
      (each) => (subject === undefined || each.subject === subject) && Date.parse(each.at) >= since,
    );
    return envelope('Incidents', wanted.slice(-limit));
  });
  answer(routing, 'up', async () => envelope('Boot', await control.up()));
  answer(routing, 'down', async ({ body, reply }) => {
    const isOver = control.down(body);
    // Over TCP the way of the answer is stopped, too.
    if (face.name === 'tcp')
      isOver.catch(() => {}); // told to whoever waits for the machine's end
    else await isOver;
    return reply.status(face.name === 'tcp' ? 202 : 200).send(envelope('Down', {}));
  });
  answer(routing, 'getEvents', async ({ request, reply }) => {
    const stream = streams.open(reply);
    let last = String(request.headers['last-event-id']);
    let missed = history.after(last);
    // In their turn: all at once they may be more than a reader may be behind.
    while (missed !== undefined && missed.length > 0 && !stream.isClosed) {
      last = history.lastId;
      for (const message of missed) await stream.sendInTurn(message);
      missed = history.after(last);
    }
    if (missed === undefined)
      stream.send(messageOf({ event: 'snapshot', data: control.status() } as const, history.lastId));
    stream.onClose(history.listen((message) => stream.send(message)));
  });
}
