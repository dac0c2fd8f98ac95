// The references of fields, as Markdown: made from the schemas, so that they say what is read.
import { propertiesOf } from '../../state/schema/describe-schema.ts';
import type { JsonSchema } from '../../state/schema/describe-schema.ts';

/** A list of all fields: path, meaning, values where they are few, default. `introduction` stands before it. */
export function referenceOf(title: string, introduction: string, schema: JsonSchema & Defaulted): string {
  const lines = [...propertiesOf(schema)].map(([key, { schema: field }]) => {
    const { description = '', default: given } = field as JsonSchema & Defaulted;
    const fallback =
      given === undefined || typeof given === 'object'
        ? ''
        : ` Default: \`${JSON.stringify(given).replaceAll('"', '')}\`.`;
    return `- \`${key}\`: ${description}${fallback}`;
  });
  return `# ${title}\n\n${introduction}\n\n${lines.join('\n')}\n`;
}

interface Defaulted {
  readonly default?: unknown;
  readonly description?: string;
}
