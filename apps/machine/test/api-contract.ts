import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import type { Heard } from './http-face.ts';

export interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly required?: boolean;
  readonly schema: Readonly<Record<string, unknown>>;
}
export interface Operation {
  readonly operationId: string;
  readonly security: readonly object[];
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: { readonly 'application/json': { readonly schema: object } } };
  readonly responses: Readonly<Record<string, { readonly $ref?: string }>>;
}
interface Response {
  readonly content?: Readonly<Record<string, unknown>>;
}
export interface ApiDocument {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly responses: Readonly<Record<string, Response>> };
}

export interface Endpoint extends Operation {
  readonly method: string;
  readonly path: string;
}

const pointer = (...keys: string[]) =>
  keys.map((key) => `/${encodeURIComponent(key.replaceAll('~', '~0').replaceAll('/', '~1'))}`).join('');

/** What the served document says, held against what is answered. */
export class ApiContract {
  readonly endpoints: readonly Endpoint[];
  readonly #document: ApiDocument;
  readonly #ajv = new Ajv2020({ strict: false, allErrors: true, validateSchema: false });
  readonly #compiled = new Map<string, ValidateFunction>();

  constructor(document: ApiDocument) {
    this.#document = document;
    addFormats.default(this.#ajv);
    this.#ajv.addSchema(document, 'api');
    this.endpoints = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, each]) => ({ ...each, method: method.toUpperCase(), path })),
    );
  }

  endpoint(id: string): Endpoint {
    const found = this.endpoints.find(({ operationId }) => operationId === id);
    if (!found) throw new Error(`the document has no ${id}`);
    return found;
  }

  /** What is wrong with an answer of an endpoint; nothing when it is as described. */
  problems(id: string, { method: asked, status, headers, text }: Heard): string[] {
    const { path, method, responses } = this.endpoint(id);
    const described = responses[status];
    if (!described) return [`${id} is not described to answer ${status}: ${text.slice(0, 300)}`];
    if (asked === 'HEAD') return [];
    const at = described.$ref?.slice(2).split('/') ?? ['paths', path, method.toLowerCase(), 'responses', `${status}`];
    const { content } = at.reduce<unknown>(
      (place, key) => (place as Record<string, unknown>)[key],
      this.#document,
    ) as Response;
    const [mediaType = ''] = (headers['content-type'] ?? '').split(';');
    if (content === undefined)
      return text === '' ? [] : [`${id} answers ${status} with a body, which is not described`];
    const known = mediaType in content ? mediaType : '*/*';
    if (!(known in content)) return [`${id} is not described to answer ${status} with ${mediaType}`];
    if (known === '*/*' || known === 'text/plain') return [];
    const validate = this.#validator(pointer(...at, 'content', known, 'schema'));
    return documentsIn(text, known).flatMap((each) =>
      validate(each)
        ? []
        : (validate.errors ?? []).map(
            ({ instancePath, message, params }) =>
              `${id} ${status} ${instancePath} ${message} ${JSON.stringify(params)}`,
          ),
    );
  }

  #validator(at: string): ValidateFunction {
    const known = this.#compiled.get(at) ?? this.#ajv.compile({ $ref: `api#${at}` });
    this.#compiled.set(at, known);
    return known;
  }
}

/** What is in an answer: one document, or what each whole message of server-sent events has. */
function documentsIn(text: string, mediaType: string): unknown[] {
  if (mediaType !== 'text/event-stream') return [JSON.parse(text)];
  const messages = text.split('\n\n').slice(0, -1);
  return messages.flatMap((message) =>
    message
      .split('\n')
      .filter((line) => line.startsWith('data: '))
      .map((line) => JSON.parse(line.slice('data: '.length))),
  );
}
