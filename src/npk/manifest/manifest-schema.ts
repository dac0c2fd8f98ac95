// The JSON Schema of manifests, for editors: derived from the schema that readers use, and as generous as they are.
import { described } from '../../../state/schema/describe-schema.ts';
import { manifestDescriptions } from '../../../state/schema/descriptions.ts';
import { manifestSchema } from '../../../state/schema/manifest.ts';
import { jsonSchemaOf } from '../../../state/schema/document-schema.ts';
import type { JsonSchema } from '../../../state/schema/describe-schema.ts';

/**
 * The schema (draft 2020-12) of a manifest in YAML, JSON or TOML, of today's dialect. What readers accept it accepts; what no
 * schema can say (that no bind lies in another, that a resource sets no args) is left to `northstate lint`.
 */
export function manifestJsonSchema(): JsonSchema {
  const { $schema, ...schema } = described(generous(jsonSchemaOf(manifestSchema)), manifestDescriptions);
  // Of three numbers, which is never a number.
  const version = { type: 'string', description: manifestDescriptions['version'] ?? '' };
  const properties = { ...schema.properties, version };
  return {
    ...($schema === undefined ? {} : { $schema }),
    title: 'Manifest of a Northstar package',
    ...schema,
    properties,
  };
}

/** A plain scalar is a text where text is wanted; null is absent. */
function generous(schema: JsonSchema): JsonSchema {
  const { type, properties, items, anyOf, oneOf, additionalProperties, required = [] } = schema;
  return {
    ...schema,
    ...(type === 'string' && schema.const === undefined && schema.enum === undefined
      ? { type: ['string', 'number', 'boolean'] }
      : {}),
    ...(properties === undefined ? {} : { properties: fields(properties, required) }),
    ...(items === undefined ? {} : { items: generous(items) }),
    ...(typeof additionalProperties === 'object' ? { additionalProperties: generous(additionalProperties) } : {}),
    ...(anyOf === undefined ? {} : { anyOf: anyOf.flatMap(alternatives) }),
    ...(oneOf === undefined ? {} : { oneOf: oneOf.map(generous) }),
  };
}

function fields(
  properties: Readonly<Record<string, JsonSchema>>,
  required: readonly string[],
): Readonly<Record<string, JsonSchema>> {
  return Object.fromEntries(
    Object.entries(properties).map(([name, field]) => {
      if (required.includes(name)) return [name, generous(field)];
      return [name, { anyOf: [generous(field), { type: 'null' }] }];
    }),
  );
}

/** A variant is an object with one member; in YAML it is a tag, behind which an editor sees the content only. */
function alternatives(schema: JsonSchema): JsonSchema[] {
  const [only, ...more] = Object.entries(schema.properties ?? {});
  const isVariant = only !== undefined && more.length === 0 && schema.additionalProperties === false;
  if (!isVariant) return [generous(schema)];
  // Else the content of a tag without required fields would take every other variant for its own.
  const content = only[1].properties === undefined ? only[1] : { ...only[1], additionalProperties: false };
  return [generous(schema), generous(content)];
}
