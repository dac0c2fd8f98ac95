// northstate schema: the JSON Schemas of what people write.
import { documentJsonSchema } from '../../state/schema.ts';
import { manifestJsonSchema } from '../npk/manifest-schema.ts';

/** Prints the schema (draft 2020-12) of the document or of manifests. */
export function schema(of: 'document' | 'manifest'): void {
  const found = of === 'manifest' ? manifestJsonSchema() : documentJsonSchema();
  process.stdout.write(`${JSON.stringify(found, null, 2)}\n`);
}
