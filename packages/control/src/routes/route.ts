import { problemsOf } from '@mgpu/core';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { type Endpoint, type EndpointId, endpoints } from '../api/endpoints.ts';
import { type RequestSchemas, requests } from '../api/requests.ts';
import type { Asker } from '../audit-log.ts';
import type { MachineControl } from '../contract.ts';
import { RequestInvalidError } from '../errors.ts';
import type { EventHistory } from '../streams/event-history.ts';
import type { EventStreams } from '../streams/event-streams.ts';
import type { TaskList } from '../tasks/task-list.ts';

type Schemas = typeof requests;
type Part<K extends EndpointId, P extends keyof RequestSchemas> = K extends keyof Schemas
  ? Schemas[K] extends Readonly<Record<P, infer S extends z.ZodType>>
    ? z.output<S>
    : undefined
  : undefined;

/** A request as its schemas have it. */
export interface Asked<K extends EndpointId> {
  readonly params: Part<K, 'params'>;
  readonly query: Part<K, 'query'>;
  readonly body: Part<K, 'body'>;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

/** Where requests come in: over the socket its owner, over TCP whoever reaches it. */
export interface Face {
  readonly name: 'socket' | 'tcp';
  /** Id of the instance that it is, which it cannot stop itself. */
  readonly instance?: string;
  /** Whether whoever asks may know more than that we are there. */
  isTrusted(request: FastifyRequest): boolean;
  whoIs(request: FastifyRequest): Asker;
}

/** What routes are made from. */
export interface Routing {
  readonly server: FastifyInstance;
  readonly control: MachineControl;
  readonly face: Face;
  readonly streams: EventStreams;
  readonly history: EventHistory;
  readonly tasks: TaskList;
  /** The API in OpenAPI 3.1, as JSON. */
  openApi(): Promise<string>;
}

declare module 'fastify' {
  interface FastifyContextConfig {
    endpoint?: EndpointId;
  }
}

/** Bytes of a body that is no job: a few names. */
const smallBodyBytes = 256 * 1024;
export const maxBodyBytes = 16 * 1024 * 1024;

/** Answers an endpoint: what is asked is checked first. What the handler returns is sent, unless it has taken the reply over. */
export function answer<K extends EndpointId>(
  { server, face }: Pick<Routing, 'server' | 'face'>,
  id: K,
  handler: (asked: Asked<K>) => unknown,
): void {
  const { method, path, access }: Endpoint = endpoints[id];
  if (access === 'socket' && face.name !== 'socket') return;
  const { params, query, body }: RequestSchemas = (requests as Partial<Record<EndpointId, RequestSchemas>>)[id] ?? {};
  server.route({
    method,
    url: path,
    bodyLimit: id === 'submitJob' ? maxBodyBytes : smallBodyBytes,
    config: { endpoint: id },
    handler: async (request, reply) => {
      const asked = {
        params: parse(params, request.params, 'path'),
        // Whoever probes may add what keeps others from answering in our place.
        query: access === 'open' ? undefined : parse(query, request.query, 'query'),
        body: parse(body, request.body ?? undefined, 'body'),
        request,
        reply,
      };
      return await handler(asked as Asked<K>);
    },
  });
}

const isNothing = (value: unknown) =>
  value === undefined || value === null || (typeof value === 'object' && Object.keys(value).length === 0);

function parse(schema: z.ZodType | undefined, value: unknown, part: string): unknown {
  if (!schema) {
    if (part === 'path' || isNothing(value)) return undefined;
    throw new RequestInvalidError({ problems: [`${part}: nothing is expected there`] });
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new RequestInvalidError({ problems: problemsOf(parsed.error, part) });
}
