import { type Clock, coreErrors, deadline, MgpuError, reportError, toMgpuError } from '@mgpu/core';
import Fastify, { type FastifyInstance, type FastifyReply } from 'fastify';
import { endpoints } from './api/endpoints.ts';
import { answerBrokenRequest } from './broken-request.ts';
import { envelope } from './contract.ts';
import type { ControlApi } from './control-api.ts';
import {
  ArtifactUnknownError,
  ForeignRequestError,
  JobsUnavailableError,
  OperationUnknownError,
  OwnServiceError,
  PreconditionError,
  RangeOutsideError,
  RequestInvalidError,
  TaskUnknownError,
  TokenUnusableError,
  TooManyRequestsError,
  TooManyStreamsError,
  TooManyTasksError,
  UnauthorizedError,
} from './errors.ts';
import { readJsonBodies } from './json-body.ts';
import { formerRoutes } from './routes/former.ts';
import { instanceRoutes } from './routes/instances.ts';
import { jobRoutes } from './routes/jobs.ts';
import { logRoutes } from './routes/logs.ts';
import { machineRoutes } from './routes/machine.ts';
import { operationRoutes } from './routes/operations.ts';
import { probeRoutes } from './routes/probes.ts';
import { type Face, maxBodyBytes } from './routes/route.ts';
import { EventStreams } from './streams/event-streams.ts';

export interface ControlServerOptions {
  readonly face: Face;
  readonly clock: Clock;
  /** Streams open at the same time. */
  readonly mostStreams: number;
}

/** Where what was asked is at fault, or passes by itself. What failed behind us is 502, and what nobody thought of 500. */
const statusCodes: Readonly<Record<string, number>> = {
  [RequestInvalidError.code]: 400,
  WORKER_REQUEST_INVALID: 400,
  [UnauthorizedError.code]: 401,
  [ForeignRequestError.code]: 403,
  [ArtifactUnknownError.code]: 404,
  [OperationUnknownError.code]: 404,
  [TaskUnknownError.code]: 404,
  [coreErrors.JobUnknownError.code]: 404,
  [coreErrors.InstanceUnknownError.code]: 404,
  [coreErrors.SelectorUnknownError.code]: 404,
  [coreErrors.GpuUnknownError.code]: 404,
  [coreErrors.InstanceHeldError.code]: 409,
  [OwnServiceError.code]: 409,
  [PreconditionError.code]: 412,
  WORKER_REQUEST_TOO_LARGE: 413,
  [RangeOutsideError.code]: 416,
  [TooManyRequestsError.code]: 429,
  [TooManyTasksError.code]: 429,
  [TokenUnusableError.code]: 503,
  [TooManyStreamsError.code]: 503,
  [JobsUnavailableError.code]: 503,
  CORE_UNEXPECTED: 500,
};

const statusCodeOf = ({ code, retryable }: MgpuError): number => statusCodes[code] ?? (retryable ? 503 : 502);

/** What is asked is checked by zod. Fastify's own compilers, which it loads unless it has others, cost 40 ms of each start. */
const noSchemas = () => () => {
  throw new Error('routes have no schemas');
};

/** Milliseconds within which a request has to be there, and until a connection without one is closed. */
const requestMs = 30_000;
/** Milliseconds within which a connection has to say what it is for. */
const headMs = 10_000;
const idleMs = 30_000;
const closeMs = 2_000;

/** The daemon's API as a server that listens nowhere yet. Every answer is an envelope but those of probes; errors have kind `Error`. */
export function createControlServer(
  api: ControlApi,
  { face, clock, mostStreams }: ControlServerOptions,
): FastifyInstance {
  const { control, log, history, tasks, audit } = api;
  // Fastify's own answer while it closes would be no envelope.
  const server = Fastify({
    bodyLimit: maxBodyBytes,
    forceCloseConnections: 'idle',
    requestTimeout: requestMs,
    http: { headersTimeout: headMs, connectionsCheckingInterval: headMs / 2 },
    keepAliveTimeout: idleMs,
    return503OnClosing: false,
    clientErrorHandler: answerBrokenRequest,
    schemaController: { compilersFactory: { buildValidator: noSchemas, buildSerializer: noSchemas } },
    routerOptions: { maxParamLength: 500 },
    frameworkErrors: (error, _request, reply) => {
      const answer = envelope('Error', reportError(asRequestError(error) ?? error));
      (reply as FastifyReply).status(error.statusCode ?? 400).send(answer);
    },
  });

  readJsonBodies(server);

  const streams = new EventStreams({ clock, log, most: mostStreams, isAllowed: (request) => face.isTrusted(request) });
  // Streams never end by themselves; every other answer is still given before the server closes.
  server.addHook('preClose', async () => {
    streams.end();
  });
  server.addHook('onRequest', async ({ headers }, reply) => {
    // Node at times hears nothing more on the connection after a body that came with it, and whoever asks next waits in vain.
    if (headers.upgrade !== undefined) reply.header('connection', 'close');
  });
  server.addHook('onResponse', async (request, reply) => {
    const { endpoint } = request.routeOptions.config;
    if (endpoint === undefined || endpoints[endpoint].method === 'GET') return;
    const [path = ''] = request.url.split('?', 1);
    audit.note({
      who: face.whoIs(request),
      what: `${request.method} ${path.slice(0, 500)}`,
      query: request.query,
      // What a job is made of belongs to whoever sent it.
      body: endpoint === 'submitJob' ? undefined : request.body,
      status: reply.statusCode,
    });
  });

  server.setErrorHandler((error, request, reply) => {
    const refused = error instanceof MgpuError ? undefined : asRequestError(error);
    const known = error instanceof MgpuError ? error : (refused ?? toMgpuError(error, 'the daemon failed'));
    const status = refused ? (error as { statusCode: number }).statusCode : statusCodeOf(known);
    if (status === 500) log.error(`${request.method} ${request.routeOptions.url} failed`, { error });
    if (status === 401) reply.header('www-authenticate', 'Bearer realm="mgpu"');
    if (known.retryable && (status === 429 || status === 503)) reply.header('retry-after', '1');
    return reply.status(status).send(envelope('Error', reportError(known)));
  });
  server.setNotFoundHandler((request, reply) => {
    const error = new RequestInvalidError({ problems: [`there is no ${request.method} ${request.url.slice(0, 200)}`] });
    return reply.status(404).send(envelope('Error', reportError(error)));
  });

  const routing = { server, control, face, streams, history, tasks, openApi: () => api.openApi() };
  for (const routes of [
    probeRoutes,
    machineRoutes,
    instanceRoutes,
    logRoutes,
    jobRoutes,
    operationRoutes,
    formerRoutes,
  ])
    routes(routing);
  return server;
}

/** Fastify's own refusals (no JSON, too large) as ours: what they say is all there is to them. */
function asRequestError(error: unknown): MgpuError | undefined {
  const { statusCode, message } = error as { statusCode?: number; message?: string };
  if (statusCode === undefined || statusCode >= 500) return undefined;
  return new RequestInvalidError({ problems: [(message ?? 'unreadable').slice(0, 300)] });
}

/** Answers under way are given; a client that never finishes its request does not hold us up. */
export async function closeServer(server: FastifyInstance, clock: Clock): Promise<void> {
  using patience = deadline(clock, closeMs, () => 'closing took too long');
  patience.signal.addEventListener('abort', () => server.server.closeAllConnections());
  await server.close();
}
