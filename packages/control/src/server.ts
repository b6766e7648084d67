import { coreErrors, jobRequestSchema, MgpuError, problemsOf, reportError, toMgpuError } from '@mgpu/core';
import Fastify, { type FastifyInstance, type FastifyReply } from 'fastify';
import { z } from 'zod';
import { Backlog } from './backlog.ts';
import { envelope, type MachineControl } from './contract.ts';
import { JobsUnavailableError, RequestInvalidError } from './errors.ts';
import { EventStream } from './event-stream.ts';

const stopSchema = z.strictObject({ force: z.boolean().default(false) });
const manySchema = z.strictObject({
  instances: z.array(z.string().max(200)).max(1_000),
  force: z.boolean().default(false),
});
const holdSchema = z.strictObject({ why: z.string().min(1).max(500) });
const maxBodyBytes = 16 * 1024 * 1024;
/** Bytes that all readers of events may be behind together. */
const maxAllBehindBytes = 16 * 1024 * 1024;

const statusCodes: Readonly<Record<string, number>> = {
  [RequestInvalidError.code]: 400,
  [coreErrors.JobUnknownError.code]: 404,
  [coreErrors.InstanceUnknownError.code]: 404,
  [coreErrors.InstanceHeldError.code]: 409,
  [JobsUnavailableError.code]: 503,
};

/** What is asked is checked by zod. Fastify's own compilers, which it loads unless it has others, cost 40 ms of each start. */
const noSchemas = () => () => {
  throw new Error('routes have no schemas');
};

/** The daemon's API as a server that listens nowhere yet. Every answer is an envelope; errors have kind `Error`. */
export function createControlServer(control: MachineControl): FastifyInstance {
  // Fastify's own answer while it closes would be no envelope.
  const server = Fastify({
    bodyLimit: maxBodyBytes,
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    schemaController: { compilersFactory: { buildValidator: noSchemas, buildSerializer: noSchemas } },
  });

  const streams = new Set<EventStream>();
  const backlog = new Backlog(maxAllBehindBytes);
  // Streams never end by themselves; every other answer is still given before the server closes.
  server.addHook('preClose', async () => {
    for (const stream of streams) stream.end();
  });
  const openStream = (reply: FastifyReply): EventStream => {
    reply.hijack();
    const stream = new EventStream(reply.raw, backlog);
    streams.add(stream);
    stream.onClose(() => streams.delete(stream));
    return stream;
  };

  server.setErrorHandler((error, _request, reply) => {
    const known =
      error instanceof MgpuError ? error : (asRequestError(error) ?? toMgpuError(error, 'the daemon failed'));
    return reply.status(statusCodes[known.code] ?? 500).send(envelope('Error', reportError(known)));
  });
  server.setNotFoundHandler((request, reply) => {
    const error = new RequestInvalidError({ problems: [`there is no ${request.method} ${request.url}`] });
    return reply.status(404).send(envelope('Error', reportError(error)));
  });

  server.get('/v1/status', async () => envelope('Status', await control.overview()));
  server.get('/metrics', async (_request, reply) => {
    if (!control.metrics) return reply.callNotFound();
    return reply.type('text/plain; version=0.0.4; charset=utf-8').send(await control.metrics());
  });
  server.post('/v1/up', async () => envelope('Boot', await control.up()));
  server.post('/v1/down', async (request) => {
    const { force } = parse(stopSchema, request.body ?? {});
    await control.down({ force });
    return envelope('Down', {});
  });
  server.get('/v1/events', (_request, reply) => {
    const stream = openStream(reply);
    stream.send({ event: 'snapshot', data: control.status() });
    stream.onClose(control.subscribe((event) => stream.send(event)));
  });

  const instanceAnswer = (id: string) =>
    envelope(
      'Instance',
      control.status().instances.find((each) => each.id === id),
    );
  server.post<{ Params: { id: string } }>('/v1/instances/:id/start', async ({ params: { id } }) => {
    await control.startInstance(id);
    return instanceAnswer(id);
  });
  server.post<{ Params: { id: string } }>('/v1/instances/:id/stop', async ({ params: { id }, body }) => {
    await control.stopInstance(id, parse(stopSchema, body ?? {}));
    return instanceAnswer(id);
  });
  server.post<{ Params: { id: string } }>('/v1/instances/:id/restart', async ({ params: { id }, body }) => {
    await control.restartInstance(id, parse(stopSchema, body ?? {}));
    return instanceAnswer(id);
  });

  for (const verb of ['start', 'stop', 'restart'] as const) {
    server.post(`/v1/instances/${verb}`, async ({ body }) => {
      const { instances, force } = parse(manySchema, body);
      return envelope('Instances', await control.operate(verb, [...new Set(instances)], { force }));
    });
  }

  // For as long as the answer is open: whoever holds it and dies holds it no longer.
  server.post<{ Params: { id: string } }>('/v1/instances/:id/hold', async ({ params: { id }, body }, reply) => {
    const { why } = parse(holdSchema, body);
    const gone = new AbortController();
    reply.raw.once('close', () => gone.abort());
    await control.holdInstance(id, { why, signal: gone.signal });
    openStream(reply).send({ event: 'held' });
  });

  server.post('/v1/jobs', async (request, reply) => {
    const id = await control.jobs().submit(parse(jobRequestSchema, request.body));
    return reply.status(201).send(envelope('JobSubmitted', { id }));
  });
  server.get<{ Params: { id: string } }>('/v1/jobs/:id', async ({ params }) =>
    envelope('Job', await control.jobs().get(params.id)),
  );
  server.delete<{ Params: { id: string } }>('/v1/jobs/:id', async ({ params }) => {
    await control.jobs().cancel(params.id);
    return envelope('JobCancelled', { id: params.id });
  });
  server.get<{ Params: { id: string } }>('/v1/jobs/:id/events', async ({ params }, reply) => {
    const jobs = control.jobs();
    await jobs.get(params.id); // an unknown job is an answer, not a stream
    const stream = openStream(reply);
    const gone = new AbortController();
    stream.onClose(() => gone.abort());
    try {
      for await (const event of jobs.watch(params.id, { signal: gone.signal })) await stream.sendInTurn(event);
    } catch (error) {
      if (!gone.signal.aborted) stream.send({ event: 'error', error: reportError(error) });
    }
    stream.end();
  });
  return server;
}

function parse<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new RequestInvalidError({ problems: problemsOf(parsed.error, 'body') });
}

/** Fastify's own refusals (no JSON, too large) as ours. */
function asRequestError(error: unknown): MgpuError | undefined {
  const { statusCode, message } = error as { statusCode?: number; message?: string };
  if (statusCode === undefined || statusCode >= 500) return undefined;
  return new RequestInvalidError({ problems: [message ?? 'unreadable'] }, { cause: error });
}
