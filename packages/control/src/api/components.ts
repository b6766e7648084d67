import { z } from 'zod';

type JsonSchema = Readonly<Record<string, unknown>>;

/** JSON Schemas for one document: those with a name are in it once, and referred to. */
export class Components {
  readonly #named = new Map<string, unknown>();

  /** `input`: what may be sent; `output`: what is answered. */
  of(schema: z.ZodType, io: 'input' | 'output'): JsonSchema {
    const converted = z.toJSONSchema(schema, { io, unrepresentable: 'any', override });
    const { $schema: _, $defs = {}, ...own } = relocated(converted);
    for (const [name, each] of Object.entries($defs)) this.#named.set(name, each);
    return own;
  }

  get named(): Readonly<Record<string, unknown>> {
    return Object.fromEntries([...this.#named].toSorted(([a], [b]) => (a < b ? -1 : 1)));
  }
}

/** Limits of what JavaScript can count to, and that names are text, say nothing about an answer. */
function override({ jsonSchema }: { jsonSchema: z.core.JSONSchema.BaseSchema }): void {
  if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
  if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
  if (jsonSchema.propertyNames && JSON.stringify(jsonSchema.propertyNames) === '{"type":"string"}')
    delete jsonSchema.propertyNames;
}

/** With references to where a document of OpenAPI has its schemas. */
const relocated = <T>(schema: T): T =>
  JSON.parse(JSON.stringify(schema), (key, value: unknown) =>
    key === '$ref' && typeof value === 'string' ? value.replace('#/$defs/', '#/components/schemas/') : value,
  ) as T;
