// northstate schema: the JSON Schemas of what people write.
import { documentJsonSchema } from '../../state/schema/document-schema.ts';
import { configurationJsonSchema } from '../config/config-schema.ts';
import { messageSchema } from '../console/protocol/protocol.ts';
import { manifestJsonSchema } from '../npk/manifest/manifest-schema.ts';

/** Every schema (draft 2020-12) by what it describes. */
export const schemas = {
  document: documentJsonSchema,
  manifest: manifestJsonSchema,
  configuration: configurationJsonSchema,
  config: configurationJsonSchema,
  console: messageSchema,
} as const;
export type Described = keyof typeof schemas;

/** Prints the schema of the document, of manifests, of config.yaml, or of what a client may send to the console. */
export function schema(of: Described): void {
  process.stdout.write(`${JSON.stringify(schemas[of](), null, 2)}\n`);
}
