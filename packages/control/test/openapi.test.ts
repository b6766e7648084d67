import { type IncomingMessage, request } from 'node:http';
import { json } from 'node:stream/consumers';
import { ControlApi, envelope } from '@mgpu/control';
import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { type Endpoint, endpoints } from '../src/api/endpoints.ts';
import { SmallMachine, startControl } from './support.ts';

interface Described {
  readonly operationId: string;
  readonly security: readonly object[];
  readonly parameters?: readonly { readonly name: string; readonly in: string }[];
  readonly requestBody?: { readonly required: boolean };
  readonly responses: Readonly<Record<string, object>>;
}
interface Document {
  readonly info: { readonly version: string };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Described>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, unknown>> };
}

const tree = z
  .strictObject({
    name: z.string(),
    get parts() {
      return z.array(tree).optional();
    },
  })
  .meta({ id: 'Tree' });

/** With operations whose input needs nothing, something, and itself. */
function busyMachine(): SmallMachine {
  const machine = new SmallMachine();
  const operation = (name: string, input: z.ZodObject) => ({
    name,
    summary: `Does ${name}`,
    input,
    changes: true,
    run: async () => envelope('Done', {}),
  });
  machine.operations = [
    operation('models.check', z.strictObject({ deep: z.boolean().default(false) })),
    operation('models.pull', z.strictObject({ name: z.string() })),
    operation('models.plant', z.strictObject({ tree })),
  ];
  return machine;
}

async function documentOf(machine: SmallMachine): Promise<Document> {
  await using api = new ControlApi(machine);
  return JSON.parse(await api.openApi()) as Document;
}

const everyOperation = ({ paths }: Document) =>
  Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, each]) => ({ path, method, ...each })),
  );

test('is valid OpenAPI 3.1, operations of the machine included', async () => {
  const validator = new Validator();
  const { valid, errors } = await validator.validate({ ...(await documentOf(busyMachine())) });
  expect(errors ?? []).toEqual([]);
  expect({ valid, version: validator.version }).toEqual({ valid: true, version: '3.1' });
});

test('refers to nothing that is not in it', async () => {
  const document = await documentOf(busyMachine());
  const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(([, at = '']) => at);
  const found = (at: string) =>
    at
      .split('/')
      .slice(1)
      .reduce<unknown>((place, key) => (place as Record<string, unknown> | undefined)?.[key], document);
  expect(references.filter((at) => !at.startsWith('#/') || found(at) === undefined)).toEqual([]);
  expect(references).toContain('#/components/schemas/Tree');
  expect(Object.keys(document.components.schemas).filter((name) => name.startsWith('_'))).toEqual([]);
});

test('has every endpoint but those of the control socket alone, and nothing else', async () => {
  const document = await documentOf(busyMachine());
  const known = (Object.entries(endpoints) as [string, Endpoint][])
    .filter(([, { access }]) => access !== 'socket')
    .map(([id, { method, path }]) => `${id} ${method} ${path.replace(/:(\w+)/g, '{$1}').replace('*', '{name}')}`);
  const operations = ['check', 'pull', 'plant'].map((verb) => `models.${verb} POST /v1/operations/models.${verb}`);
  const described = everyOperation(document).map(
    ({ operationId, method, path }) => `${operationId} ${method.toUpperCase()} ${path}`,
  );
  expect(described.toSorted()).toEqual([...known, ...operations].toSorted());
  expect(described.join()).not.toContain('/hold');
});

test('asks for the token wherever the server does, and names the parameters of each path', async () => {
  for (const { path, operationId, security, parameters = [] } of everyOperation(await documentOf(busyMachine()))) {
    const { access }: Endpoint = endpoints[operationId as keyof typeof endpoints] ?? endpoints.startOperation;
    expect([operationId, security]).toEqual([operationId, access === 'open' ? [] : [{ token: [] }]]);
    const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
    expect([operationId, parameters.filter((each) => each.in === 'path').map(({ name }) => name)]).toEqual([
      operationId,
      named,
    ]);
  }
});

test('says everywhere what comes while the token cannot be read, beside what else has that status', async () => {
  const document = await documentOf(busyMachine());
  const left = everyOperation(document).filter((each) => each.security.length > 0 && !each.responses[503]);
  expect(left.map(({ operationId }) => operationId)).toEqual([]);
  const schemas = JSON.stringify(document.paths['/health']?.get?.responses[503]);
  expect(schemas).toContain('"#/components/schemas/HealthReport"');
  expect(schemas).toContain('"#/components/schemas/Error"');
});

test('tells which bodies may be left out', async () => {
  const { paths } = await documentOf(busyMachine());
  const isRequired = (path: string) => paths[path]?.post?.requestBody?.required;
  expect(isRequired('/v1/operations/models.check')).toBe(false);
  expect(isRequired('/v1/operations/models.pull')).toBe(true);
  expect(isRequired('/v1/instances/{id}/stop')).toBe(false);
  expect(isRequired('/v1/instances/stop')).toBe(true);
});

test('is served as it is made, once', async () => {
  const machine = busyMachine();
  await using control = await startControl(machine);
  const served = await fetchJson(control.socketPath, '/v1/openapi.json');
  machine.operations = [];
  expect(await fetchJson(control.socketPath, '/v1/openapi.json')).toEqual(served);
  expect(served.info.version).toBe('mgpu/v1+0.0.0');
});

test('describes tasks as they are', async () => {
  await using control = await startControl(busyMachine());
  const { socketPath } = control;
  const ajv = new Ajv2020({ strict: false, validateSchema: false });
  addFormats.default(ajv);
  ajv.addSchema(await fetchJson(socketPath, '/v1/openapi.json'), 'api');
  const told = async (method: string, path: string, template: string, status: number) => {
    const answer = await fetchJson<{ data: { id: string; state: string } }>(socketPath, path, method);
    const place = ['paths', template, method.toLowerCase(), 'responses', `${status}`, 'content', 'application/json'];
    const at = place.map((key) => encodeURIComponent(key.replaceAll('/', '~1'))).join('/');
    const validate = ajv.compile({ $ref: `api#/${at}/schema` });
    validate(answer);
    expect({ path, errors: validate.errors }).toEqual({ path, errors: null });
    return answer.data;
  };
  const check = '/v1/operations/models.check';
  const { id, state } = await told('POST', `${check}?wait=10`, check, 200);
  expect(state).toBe('completed');
  for (const method of ['GET', 'DELETE']) await told(method, `/v1/tasks/${id}`, '/v1/tasks/{id}', 200);
  await told('GET', '/v1/tasks', '/v1/tasks', 200);
  await told('GET', '/v1/operations', '/v1/operations', 200);
});

async function fetchJson<T = Document>(socketPath: string, path: string, method = 'GET'): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  request({ socketPath, path, method, agent: false }, resolve).on('error', reject).end();
  return (await json(await promise)) as T;
}
