import type { z } from 'zod';
import { apiVersion, type MachineControl, type Operation } from '../contract.ts';
import { type Answer, answers, type DescribedId, describedIds } from './answers.ts';
import { Components } from './components.ts';
import { type Endpoint, endpoints } from './endpoints.ts';
import { type RequestSchemas, requests } from './requests.ts';
import { envelopeOf, errorAnswer } from './schemas.ts';

type Json = Readonly<Record<string, unknown>>;

/** What an endpoint may be answered with when it was not done. */
const errorSummaries: Readonly<Record<number, string>> = {
  400: 'The request breaks its schema',
  401: 'The token is missing, or another one',
  403: 'Host or Origin is none of ours',
  404: 'There is no such thing',
  409: 'Not now: it is on hold, or would cut off its own answer',
  412: 'It is not what `If-Match` or `If-Unmodified-Since` expect',
  413: 'The body is too large',
  415: 'The body is no JSON',
  416: 'The range is not within the file',
  429: 'Too many requests, or tasks, at a time',
  502: 'What it was asked of failed: the error says which and how',
  503: 'Not now: asking again later may help',
};

const retryAfter = { 'retry-after': 'Seconds until it is worth asking again' };
const errorHeaders: Readonly<Record<number, Readonly<Record<string, string>>>> = {
  401: { 'www-authenticate': '`Bearer`' },
  416: { 'content-range': 'How many bytes there are' },
  429: retryAfter,
  503: retryAfter,
};

/** The API over TCP in OpenAPI 3.1: from the tables that the server itself is made of, and the operations of the machine. */
export function openApiText(control: MachineControl): string {
  const schemas = new Components();
  const paths: Record<string, Record<string, Json>> = {};
  const add = (path: string, id: DescribedId, operation: Json) => {
    const method = endpoints[id].method.toLowerCase();
    paths[path] = { ...paths[path], [method]: operation };
  };
  for (const id of describedIds) add(templateOf(endpoints[id].path), id, operationOf(id, schemas));
  for (const each of control.operations) {
    const path = endpoints.startOperation.path.replace(':operation', encodeURIComponent(each.name));
    add(path, 'startOperation', namedOperation(each, schemas));
  }
  const error = schemas.of(errorAnswer, 'output');
  return JSON.stringify({
    openapi: '3.1.0',
    info: {
      title: 'mgpu',
      version: `${apiVersion}+${control.status().daemon.version}`,
      summary: 'A multi-GPU machine: control, logs, events, jobs, metrics',
      description: [
        'Every answer is `{ apiVersion, kind, data }` but those of probes, of files and text, and of the addresses that the',
        'predecessors had. Errors have kind `Error`; their `code` is stable. What is not described in a request is refused.',
        'Times are UTC in ISO 8601. `HEAD` is answered wherever `GET` is. What cannot be read as a request at all is refused with',
        '400, 408, 414 or 431.',
      ].join(' '),
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/', description: 'The machine that has sent this' }],
    tags: [...new Set(describedIds.map((id) => endpoints[id].group))].map((name) => ({ name })),
    paths,
    components: {
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer', description: 'What `mgpu token` prints on the machine' },
      },
      responses: Object.fromEntries(
        Object.entries(errorSummaries).map(([status, description]) => [
          status,
          {
            description,
            ...headersOf(errorHeaders[Number(status)] ?? {}),
            content: { 'application/json': { schema: error } },
          },
        ]),
      ),
      schemas: schemas.named,
    },
  });
}

function operationOf(id: DescribedId, schemas: Components): Json {
  const { group, summary, access }: Endpoint = endpoints[id];
  const { params, query, body } = requestOf(id);
  const { description, headers = {} } = answers[id];
  const parameters = [
    ...parametersOf(params, 'path', schemas),
    ...parametersOf(query, 'query', schemas),
    ...Object.entries(headers).map(([name, description]) => ({
      name,
      in: 'header',
      description,
      schema: { type: 'string' },
    })),
  ];
  return {
    operationId: id,
    tags: [group],
    summary,
    ...(description === undefined ? {} : { description }),
    security: access === 'open' ? [] : [{ token: [] }],
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined ? {} : { requestBody: bodyOf(body, schemas) }),
    responses: responsesOf(id, schemas),
  };
}

/** An operation of this machine at a path of its own, with what it takes. */
function namedOperation({ name, summary, input }: Operation, schemas: Components): Json {
  const { parameters, ...rest } = operationOf('startOperation', schemas);
  const others = (parameters as readonly { readonly in: string }[]).filter((each) => each.in !== 'path');
  return { ...rest, operationId: name, summary, parameters: others, requestBody: bodyOf(input.prefault({}), schemas) };
}

const requestOf = (id: DescribedId): RequestSchemas =>
  (requests as Partial<Record<DescribedId, RequestSchemas>>)[id] ?? {};

/** The rest of a path has a name here, too. */
const restName = 'name';
const templateOf = (path: string): string =>
  path.replace(/:(\w+)|\*$/g, (_, name: string | undefined) => `{${name ?? restName}}`);

function parametersOf(schema: z.ZodObject | undefined, place: 'path' | 'query', schemas: Components): Json[] {
  if (!schema) return [];
  const { properties = {}, required = [] } = schemas.of(schema, 'input') as {
    properties?: Readonly<Record<string, Json>>;
    required?: readonly string[];
  };
  return Object.entries(properties).map(([key, { description, ...property }]) => ({
    name: key === '*' ? restName : key,
    in: place,
    ...(description === undefined ? {} : { description }),
    required: required.includes(key),
    schema: property,
  }));
}

function bodyOf(schema: z.ZodType, schemas: Components): Json {
  return {
    required: !schema.safeParse(undefined).success,
    content: { 'application/json': { schema: schemas.of(schema, 'input') } },
  };
}

function responsesOf(id: DescribedId, schemas: Components): Json {
  const { method, access } = endpoints[id];
  const { answers: own, errors = [] } = answers[id];
  // 503 comes wherever a token is looked at: its file cannot be read.
  const common = [400, 403, 429, ...(access === 'open' ? [] : [401, 503]), ...(method === 'GET' ? [] : [413, 415])];
  const refusals = new Set([...common, ...errors]);
  const given = Map.groupBy(own, ({ status = 200 }) => status);
  const refused = [...refusals].map((status) => [status, { $ref: `#/components/responses/${status}` }]);
  const answered = [...given].map(([status, some]) => {
    const error: Answer = { data: errorAnswer, summary: 'Otherwise an error', headers: errorHeaders[status] ?? {} };
    return [status, responseOf(refusals.has(status) ? [...some, error] : some, schemas)];
  });
  return Object.fromEntries([...refused, ...answered]);
}

/** All that may be answered with one status code, by media type. */
function responseOf(some: readonly Answer[], schemas: Components): Json {
  const byMediaType = Map.groupBy(
    some.filter(({ isEmpty }) => !isEmpty),
    ({ mediaType = 'application/json' }) => mediaType,
  );
  return {
    description: some.flatMap(({ summary = [] }) => summary).join('. ') || 'As asked',
    ...headersOf(Object.assign({}, ...some.map(({ headers }) => headers))),
    ...(byMediaType.size === 0
      ? {}
      : {
          content: Object.fromEntries(
            [...byMediaType].map(([mediaType, each]) => {
              const [first = {}, ...others] = each.map((answer) => schemaOf(answer, schemas));
              return [mediaType, { schema: others.length === 0 ? first : { anyOf: [first, ...others] } }];
            }),
          ),
        }),
  };
}

function schemaOf({ kind, data, mediaType }: Answer, schemas: Components): Json {
  if (data === undefined) return mediaType?.startsWith('text/') ? { type: 'string' } : {};
  return schemas.of(kind === undefined ? data : envelopeOf(kind, data), 'output');
}

function headersOf(headers: Readonly<Record<string, string>>): Json {
  const entries = Object.entries(headers).map(([name, description]) => [
    name,
    { description, schema: { type: 'string' } },
  ]);
  return entries.length === 0 ? {} : { headers: Object.fromEntries(entries) };
}
