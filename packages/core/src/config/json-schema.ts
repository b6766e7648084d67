/** What is read of a JSON Schema. */
export interface JsonSchemaNode {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, JsonSchemaNode>>;
  readonly items?: JsonSchemaNode;
  readonly additionalProperties?: JsonSchemaNode | boolean;
  readonly anyOf?: readonly JsonSchemaNode[];
}

/** What a schema says of a key, or of an element of a list. */
export function childSchema(node: JsonSchemaNode, key: string): JsonSchemaNode | undefined {
  const { properties, items, additionalProperties, anyOf = [] } = node;
  const own = properties?.[key] ?? (/^\d+$/.test(key) ? items : undefined);
  if (own) return own;
  if (typeof additionalProperties === 'object') return additionalProperties;
  for (const each of anyOf) {
    const found = childSchema(each, key);
    if (found) return found;
  }
  return undefined;
}

/** The keys that a mapping may have. */
export function knownKeys({ properties = {}, anyOf = [] }: JsonSchemaNode): string[] {
  return [...Object.keys(properties), ...anyOf.flatMap(knownKeys)];
}
