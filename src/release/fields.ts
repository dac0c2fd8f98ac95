// The fields that a JSON Schema describes, as a table for the manual.
import type { JsonSchema } from '../../state/schema/describe-schema.ts';

/** What a field's schema may say beside what every reader of ours looks at. */
type Described = JsonSchema & {
  readonly description?: string;
  readonly default?: unknown;
  readonly pattern?: string;
};

/** A Markdown table with a row for each field, by its path; a map's members are `<name>`, a list's `[]`. */
export function fieldTable(schema: JsonSchema): string {
  const rows = fieldsOf(schema, '');
  return ['| field | content |', '| --- | --- |', ...rows.map(([path, text]) => `| \`${path}\` | ${text} |`)].join(
    '\n',
  );
}

function fieldsOf(schema: Described, path: string): (readonly [string, string])[] {
  const forms = [schema, ...(schema.anyOf ?? []), ...(schema.oneOf ?? [])] as Described[];
  const rows = forms.flatMap((form) => {
    const { properties = {}, additionalProperties, items, required = [] } = form;
    const members = Object.entries(properties).map(([name, field]) => ({
      field,
      at: path === '' ? name : `${path}.${name}`,
      needed: required.includes(name),
    }));
    if (typeof additionalProperties === 'object' && Object.keys(additionalProperties).length > 0) {
      members.push({ field: additionalProperties, at: `${path}.<name>`, needed: false });
    }
    if (items !== undefined) members.push({ field: items, at: `${path}[]`, needed: false });
    return members.flatMap(({ field, at, needed }) => [[at, sentence(field, needed)] as const, ...fieldsOf(field, at)]);
  });
  const seen = new Set<string>();
  return rows.filter(([at]) => !seen.has(at) && seen.add(at));
}

function sentence(field: Described, needed: boolean): string {
  const parts = [
    ...(field.description === undefined ? [] : [field.description.replaceAll('\n', ' ')]),
    typeOf(field),
    ...(field.default === undefined ? [] : [`default: \`${JSON.stringify(field.default)}\``]),
    ...(needed ? ['required'] : []),
  ].filter((part) => part !== '');
  return parts.join('; ').replaceAll('|', '\\|');
}

/** What may be written, in words: a type, the texts of an enumeration, or the alternatives. */
function typeOf({ type, enum: values, const: only, anyOf, oneOf }: Described): string {
  if (only !== undefined) return `\`${JSON.stringify(only)}\``;
  if (values !== undefined) return values.map((value) => `\`${JSON.stringify(value)}\``).join(', ');
  const forms = anyOf ?? oneOf;
  if (forms !== undefined) return [...new Set(forms.map(typeOf))].filter((each) => each !== 'null').join(' or ');
  const names = typeof type === 'string' ? [type] : (type ?? []);
  return names.includes('string') ? 'text' : names.join(' or ');
}
