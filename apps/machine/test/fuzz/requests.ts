import type { Endpoint } from '../api-contract.ts';
import type { Question } from '../http-face.ts';
import type { Chance } from './chance.ts';

/** A question, and what must hold for its answer. */
export interface Shot extends Question {
  readonly endpoint: Endpoint;
  /** Whether it reaches the endpoint: the answer is one of those that are described. */
  readonly isRouted: boolean;
  /** Whether the server may hang up before it has read everything. */
  readonly mayBeCut: boolean;
}

type Schema = Readonly<Record<string, unknown>>;

const nastyTexts = [
  '',
  ' ',
  '.',
  '..',
  '../../state/http-token',
  '/etc/passwd',
  '\0',
  'a\0b',
  '\u202e\u0000\uffff',
  '💥'.repeat(60),
  '__proto__',
  'constructor',
  'toString',
  'null',
  '-1',
  '0',
  '1e309',
  '99999999999999999999',
  '0x10',
  'NaN',
  'true',
  '\r\nset-cookie: a=b',
  '%00',
  '%',
  '*',
  '(',
  '(a+)+$',
  '[[[',
  'all',
  'daemon',
  'gpu:-1',
  'gpu:999999999999',
  'gpu:0:0',
  '2026-13-45T99:99:99Z',
  '-5m',
  '9999999999999999d',
  '<script>',
  "' OR 1=1 --",
  ...[199, 200, 201, 500, 501, 5_000].map((length) => 'x'.repeat(length)),
];

/** As they go over the wire. */
const nastyParts = [
  '.',
  '..',
  '%2e',
  '%2e%2e',
  '..%2f..%2f..%2fstate%2fhttp-token',
  '%2e%2e%2f%2e%2e%2fetc%2fpasswd',
  '..%5c..%5c',
  '..;',
  '%252e%252e%252f',
  '%00',
  'a%00.png',
  '%0d%0aset-cookie:%20a=b',
  '%c0%ae%c0%ae',
  '%ed%a0%80',
  '%',
  '%zz',
  '%ff%fe',
  'a/b',
  'a//b',
  '%2f',
  '~root',
  '*',
  ...nastyTexts.filter((text) => text !== '').map(encodeURIComponent),
];

const nastyValues: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1.5,
  1e308,
  Number.MAX_SAFE_INTEGER + 2,
  [],
  {},
  [[]],
  [null],
  { toString: 1 },
  { length: -1 },
  { hasOwnProperty: 1 },
  ...nastyTexts,
];

const nastyBodies = [
  '{',
  '[1,',
  '"',
  'nul',
  '{"a":1,}',
  "{'force':true}",
  '{"__proto__":{"force":true}}',
  '{"constructor":{"prototype":{"force":true}}}',
  '{"force":true,"force":false}',
  '\u0000',
  '\ufeff{}',
  '1e999',
  '-0',
  '[]',
  'null',
  '"force"',
  '{"\\ud800":"\\udfff"}',
  `${'['.repeat(50_000)}${']'.repeat(50_000)}`,
  `${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}`,
  `{"type":"comfyui","input":${'['.repeat(50_000)}${']'.repeat(50_000)}}`,
  `{"type":"comfyui","input":{},"metadata":{"a":${'['.repeat(50_000)}${']'.repeat(50_000)}}}`,
  `{"select":[${'"x",'.repeat(1_000)}"x"]}`,
];

const oddHeaders: readonly Readonly<Record<string, string | readonly string[]>>[] = [
  { 'content-type': 'text/plain' },
  { 'content-type': 'application/json; charset=utf-16' },
  { 'content-type': 'application/xml' },
  { 'content-type': 'multipart/form-data' },
  { 'content-type': '/' },
  { 'content-type': '' },
  { 'content-encoding': 'gzip' },
  { 'content-encoding': 'br, br, br' },
  { accept: 'text/event-stream' },
  { accept: 'x'.repeat(4_000) },
  { 'last-event-id': '-1' },
  { 'last-event-id': '00000000-999999999999999' },
  { 'last-event-id': Buffer.from('{"comfyui_gpu0":9007199254740991,"daemon":1e300}').toString('base64url') },
  { 'last-event-id': Buffer.from('{"comfyui_gpu0":9007199254740991,"nobody":0}').toString('base64url') },
  { 'last-event-id': Buffer.from('{"__proto__":1,"comfyui_gpu0":0}').toString('base64url') },
  { 'last-event-id': ['a', 'b'] },
  { range: 'bytes=0-0' },
  { range: 'bytes=0-0,2-4,-1' },
  { range: 'bytes=-0' },
  { range: 'bytes=99999999999999999999-' },
  { range: 'bytes=5-1' },
  { range: `bytes=${'0-1,'.repeat(1_000)}0-1` },
  { range: 'lines=1-2' },
  { 'if-none-match': '*' },
  { 'if-match': '"x"' },
  { 'if-modified-since': 'yesterday' },
  { 'if-unmodified-since': 'Thu, 01 Jan 1970 00:00:00 GMT' },
  { 'if-range': '"x"', range: 'bytes=0-1' },
  { cookie: 'a=b; token=c' },
  { 'x-forwarded-for': '127.0.0.1, ::1', 'x-forwarded-host': 'evil', forwarded: 'for=127.0.0.1' },
  { 'x-http-method-override': 'DELETE' },
  { 'x-original-url': '/v1/down', 'x-rewrite-url': '/v1/down' },
  { connection: 'upgrade', upgrade: 'h2c' },
  { te: 'trailers, deflate' },
  { origin: 'null' },
  { origin: 'https://evil.example' },
  { host: 'evil.example' },
  { host: '' },
  { host: '[::1]:1' },
  { host: 'localhost:99999999' },
  { 'x-long': 'x'.repeat(10_000) },
  { 'x-long': 'x'.repeat(20_000) },
];

const oddMethods = ['GET', 'POST', 'DELETE', 'PUT', 'PATCH', 'HEAD', 'OPTIONS', 'TRACE', 'PROPFIND', 'PURGE'];

const smallBytes = 256 * 1024;
const jobBytes = 16 * 1024 * 1024;

export interface Known {
  readonly instances: readonly string[];
  readonly jobs: readonly string[];
  readonly artifact: string;
}

/** Makes requests out of the document: some as it wants them, most not. */
export class Requests {
  readonly #chance: Chance;
  readonly #endpoints: readonly Endpoint[];
  readonly #document: object;
  readonly #known: Known;
  #index = 0;

  constructor(chance: Chance, document: object, endpoints: readonly Endpoint[], known: Known) {
    this.#chance = chance;
    this.#document = document;
    this.#endpoints = endpoints;
    this.#known = known;
  }

  /** The next one; every endpoint has its turn. `isTame`: as the document wants it, and at its own address. */
  next({ isTame = false } = {}): Shot {
    const chance = this.#chance;
    const endpoint = this.#endpoints[this.#index++ % this.#endpoints.length] as Endpoint;
    const params = (endpoint.parameters ?? []).filter((each) => each.in === 'path');
    let path = endpoint.path;
    let isRouted = true;
    for (const { name } of params) {
      const isReal = isTame || chance.is(0.4);
      const part = isReal ? this.#real(endpoint, name) : chance.pick(nastyParts);
      if (!isReal) isRouted &&= isOnePart(part);
      path = path.replace(`{${name}}`, () => part);
    }
    path += this.#query(endpoint, isTame);
    const body = this.#body(endpoint, isTame);
    if (isTame) return { endpoint, method: endpoint.method, path, ...body, isRouted: true };
    let { method } = endpoint;
    if (chance.is(0.06)) {
      method = chance.pick(oddMethods);
      isRouted = false;
    }
    if (chance.is(0.08)) {
      path = this.#bent(path);
      isRouted = false;
    }
    const headers = chance.is(0.3) ? chance.pick(oddHeaders) : {};
    if ('host' in headers || 'x-long' in headers) isRouted = false;
    const mayBeCut = body.mayBeCut || 'x-long' in headers;
    return { endpoint, method, path, ...body, headers, isRouted, mayBeCut };
  }

  #real(endpoint: Endpoint, name: string): string {
    const { instances, jobs, artifact } = this.#known;
    if (endpoint.path.includes('/artifacts/')) return name === 'id' ? (jobs[0] ?? '') : artifact;
    if (endpoint.path.startsWith('/v1/jobs/')) return this.#chance.pick(jobs);
    return encodeURIComponent(this.#chance.pick(instances));
  }

  #query({ parameters = [] }: Endpoint, isTame: boolean): string {
    const chance = this.#chance;
    const query = new URLSearchParams();
    for (const each of parameters)
      if (each.in === 'query' && (each.required || chance.is(0.3))) {
        const values = isTame || chance.is(0.5) ? [this.#sample(each.schema)].flat() : [chance.pick(nastyTexts)];
        for (const value of values) query.append(each.name, each.name === 'wait' ? '1' : String(value));
        if (!isTame && chance.is(0.05)) query.append(each.name, chance.pick(nastyTexts));
      }
    if (!isTame && chance.is(0.1)) query.append(chance.pick(nastyTexts), chance.pick(nastyTexts));
    if (!isTame && chance.is(0.01))
      for (let n = 0; n < 1_200; n++) query.append(chance.is(0.5) ? 'select' : `k${n}`, 'x');
    const text = query.toString();
    const suffix =
      !isTame && chance.is(0.03) ? chance.pick(['&', '&&=', '&a[]=1&a[b]=2', '&%', '&%ff', '?', '#x', '&=']) : '';
    return text === '' && suffix === '' ? '' : `?${text}${suffix}`;
  }

  #body({ operationId, method, requestBody }: Endpoint, isTame: boolean): { body?: unknown; mayBeCut: boolean } {
    const chance = this.#chance;
    if (requestBody === undefined)
      return !isTame && chance.is(0.15)
        ? { body: chance.pick([...nastyBodies, '{}']), mayBeCut: false }
        : { mayBeCut: false };
    const sampled = this.#sample(requestBody.content['application/json'].schema as Schema);
    if (isTame || chance.is(0.25)) return { body: sampled, mayBeCut: false };
    if (chance.is(0.1) && method !== 'DELETE') {
      const most = operationId === 'submitJob' && chance.is(0.2) ? jobBytes : smallBytes;
      const bytes = most + chance.pick([-1, 0, 1, 10_000]);
      const [head, tail] = ['{"type":"comfyui","input":"', '"}'];
      return { body: head + 'x'.repeat(bytes - head.length - tail.length) + tail, mayBeCut: true };
    }
    if (chance.is(0.3)) return { body: chance.pick(nastyBodies), mayBeCut: false };
    if (chance.is(0.2) || typeof sampled !== 'object' || sampled === null)
      return { body: JSON.stringify(chance.pick(nastyValues)), mayBeCut: false };
    const changed = { ...(sampled as Record<string, unknown>) };
    const key = chance.pick([...Object.keys(changed), 'force', 'select', 'v', '__proto__', 'input', 'id', 'type']);
    if (chance.is(0.2)) delete changed[key];
    else Object.defineProperty(changed, key, { value: chance.pick(nastyValues), enumerable: true });
    return { body: JSON.stringify(changed), mayBeCut: false };
  }

  #bent(path: string): string {
    return this.#chance.pick([
      `${path}/`,
      `/${path}`,
      `/x/..${path}`,
      `/.${path}`,
      `${path};a=b`,
      `${path}%20`,
      `${path}%00`,
      `${path}/..`,
      path.toUpperCase(),
      path.replace('/v1/', '/v1%2f'),
      path.replace('/v1/', '/v2/'),
      `${path}/${'x/'.repeat(2_000)}`,
      `${path}?${'x'.repeat(8_000)}`,
      'http://evil.example/v1/down',
      '*',
      '/',
      '//evil.example/v1/status',
    ]);
  }

  /** Something that a schema allows. */
  #sample(schema: Schema, depth = 0): unknown {
    const chance = this.#chance;
    const {
      $ref,
      anyOf,
      oneOf,
      const: only,
      enum: choices,
      type,
      properties = {},
      items,
    } = schema as {
      $ref?: string;
      anyOf?: Schema[];
      oneOf?: Schema[];
      const?: unknown;
      enum?: unknown[];
      type?: string;
      properties?: Record<string, Schema>;
      items?: Schema;
    };
    if ($ref !== undefined) return this.#sample(this.#find($ref), depth);
    if (only !== undefined) return only;
    if (choices !== undefined) return chance.pick(choices);
    const either = anyOf ?? oneOf;
    if (either !== undefined) return this.#sample(chance.pick(either), depth);
    switch (type) {
      case 'integer':
      case 'number': {
        const { minimum = 0, maximum = 1_000 } = schema as { minimum?: number; maximum?: number };
        return chance.pick([minimum, maximum, Math.floor(minimum + chance.next() * (maximum - minimum))]);
      }
      case 'boolean':
        return chance.is(0.5);
      case 'string':
        return this.#word(schema);
      case 'array':
        return Array.from({ length: 1 + chance.upTo(2) }, () => this.#sample(items ?? {}, depth + 1));
      case 'object': {
        const { required = [] } = schema as { required?: string[] };
        const keys = Object.keys(properties).filter((key) => required.includes(key) || chance.is(0.4));
        return Object.fromEntries(keys.map((key) => [key, this.#sample(properties[key] ?? {}, depth + 1)]));
      }
      default:
        return chance.pick([...nastyValues, { prompt: { '1': { class_type: 'EmptyImage', inputs: {} } } }]);
    }
  }

  #word({ pattern, maxLength }: { pattern?: string; maxLength?: number }): string {
    const chance = this.#chance;
    if (pattern?.startsWith('^[a-z][a-z0-9-]')) return chance.pick(['comfyui', 'comfyui', 'x', 'x-y']);
    if (pattern !== undefined) return `job-${chance.upTo(50)}`;
    if (maxLength === 40) return chance.pick(['10m', '1h', '2026-01-01T00:00:00Z', '2d']);
    return chance.pick([...this.#known.instances, 'comfyui', 'worker', 'gpu:0', 'daemon', 'x', '.*']);
  }

  #find(pointer: string): Schema {
    const keys = pointer.slice(2).split('/');
    return keys.reduce<unknown>((place, key) => (place as Record<string, unknown>)[key], this.#document) as Schema;
  }
}

/** Of a path: it can be decoded, is not taken for a separator or a relative part, and not longer than a part may be. */
function isOnePart(part: string): boolean {
  try {
    return decodeURIComponent(part).length <= 200 && !part.includes('/') && !/^(\.|%2e){1,2}$/i.test(part);
  } catch {
    return false;
  }
}

/** What the server is asked for that would end it, or everything on it, if it did as it was told. */
export function wouldStopIt({ path, body }: Shot): boolean {
  const text = typeof body === 'string' ? body : JSON.stringify(body ?? '');
  return (
    /down|restart%?2?f?\/?machine/i.test(path) || (/instances\/(stop|restart)/i.test(path) && text.includes('all"'))
  );
}

/** With something in it that is refused, where anything could be meant by it: operations bring things from elsewhere. */
export function spoiled(body: unknown): string {
  const text = typeof body === 'string' ? body : JSON.stringify(body ?? {});
  if (text === '' || text === 'null') return '{"nobodyTakesThis":true}';
  return text.replace(/^(\s*\{\s*)(\}?)/, (_, open, end) => `${open}"nobodyTakesThis":true${end === '' ? ',' : end}`);
}
