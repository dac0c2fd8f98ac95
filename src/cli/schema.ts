// northstate schema: the document's JSON Schema.
import { documentJsonSchema } from '../../state/schema.ts';

/** Prints the schema (draft 2020-12). */
export function schema(): void {
  process.stdout.write(`${JSON.stringify(documentJsonSchema(), null, 2)}\n`);
}
