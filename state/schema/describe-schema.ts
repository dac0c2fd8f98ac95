// What an editor shows of a field: descriptions for the properties of a JSON Schema.

/** A part of a JSON Schema (https://json-schema.org/draft/2020-12), as far as the document's uses it. */
export interface JsonSchema {
  readonly $schema?: string;
  readonly title?: string;
  readonly description?: string;
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: JsonSchema | boolean;
  readonly items?: JsonSchema;
}

/**
 * Texts by path: the names of properties with dots between them, `*` for any member of a map. The longest end of a property's path
 * that is among them says what it is, so that what stands in several places is described once.
 */
export type Descriptions = Readonly<Record<string, string>>;

/** The key in `texts` for a property; null when nothing describes it. */
export function describingKey(path: readonly string[], texts: Descriptions): string | null {
  for (let from = 0; from < path.length; from++) {
    const key = path.slice(from).join('.');
    if (Object.hasOwn(texts, key)) return key;
  }
  return null;
}

/** The schema with a description at each of its properties. */
export function described<S extends object>(schema: S, texts: Descriptions, path: readonly string[] = []): S {
  const { properties, additionalProperties, items, anyOf, oneOf } = schema as JsonSchema;
  const inside = (part: JsonSchema): JsonSchema => described(part, texts, path);
  const property = ([name, part]: [string, JsonSchema]): [string, JsonSchema] => {
    const at = [...path, name];
    const key = describingKey(at, texts);
    return [name, { ...described(part, texts, at), ...(key !== null && { description: texts[key] ?? '' }) }];
  };
  return {
    ...schema,
    ...(properties !== undefined && { properties: Object.fromEntries(Object.entries(properties).map(property)) }),
    ...(typeof additionalProperties === 'object' && {
      additionalProperties: described(additionalProperties, texts, [...path, '*']),
    }),
    ...(items !== undefined && { items: inside(items) }),
    ...(anyOf !== undefined && { anyOf: anyOf.map(inside) }),
    ...(oneOf !== undefined && { oneOf: oneOf.map(inside) }),
  };
}

/** Every property of a schema: its path, and what the schema says of it. A property that several alternatives have comes once. */
export function propertiesOf(
  schema: JsonSchema,
  path: readonly string[] = [],
): Map<string, { readonly path: readonly string[]; readonly schema: JsonSchema }> {
  const found = new Map<string, { readonly path: readonly string[]; readonly schema: JsonSchema }>();
  const add = (more: typeof found): void => {
    for (const [key, each] of more) if (!found.has(key)) found.set(key, each);
  };
  for (const [name, part] of Object.entries(schema.properties ?? {})) {
    const at = [...path, name];
    add(new Map([[at.join('.'), { path: at, schema: part }]]));
    add(propertiesOf(part, at));
  }
  if (typeof schema.additionalProperties === 'object') add(propertiesOf(schema.additionalProperties, [...path, '*']));
  for (const part of [schema.items, ...(schema.anyOf ?? []), ...(schema.oneOf ?? [])])
    if (part !== undefined) add(propertiesOf(part, path));
  return found;
}
