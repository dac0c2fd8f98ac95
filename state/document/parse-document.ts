// A document's text read and checked.
import { build, type Built, type BuildOptions } from '../schema/build-desired.ts';
import { documentJsonSchema } from '../schema/document-schema.ts';
import { metadataOf } from '../metadata.ts';
import {
  YamlError,
  describeError,
  offsetOf,
  parseYaml,
  treeOfYaml,
  type DocumentError,
  type YamlText,
} from '../text/yaml.ts';
import { LARGEST_DOCUMENT } from './parsed-document.ts';
import { noPlace } from '../status.ts';

export interface ReadOptions extends Partial<BuildOptions> {
  /** Bytes. */
  readonly limit?: number;
}

export type ReadResult =
  | (Built & { readonly ok: true; readonly endMark: boolean; readonly yaml: YamlText })
  | { readonly ok: false; readonly error: DocumentError; readonly requires?: string };

/** What a document asks for, or why it is refused, with line, column and an excerpt. An empty text is refused. */
export function parseDocument(text: string, options: ReadOptions = {}): ReadResult {
  const { limit = LARGEST_DOCUMENT, before = null, generation = 0, writtenBy = 'person' } = options;
  const { configured = new Map() } = options;
  const size = Buffer.byteLength(text);
  if (size > limit) return refusal(`the document has ${size} bytes; at most ${limit} are read`);
  try {
    const yaml = parseYaml(text);
    if (yaml.document.contents === null) return refusal('the document is empty');
    const tree = treeOfYaml(yaml, documentJsonSchema());
    const built = build(tree, { before, generation, writtenBy, configured });
    if (!('message' in built)) return { ok: true, ...built, endMark: yaml.endMark, yaml };
    const { requires } = metadataOf(tree);
    const error = describeError(text, offsetOf(yaml, built.path, built.atKey), built.message);
    return { ok: false, error, ...(requires !== null && { requires }) };
  } catch (error) {
    if (!(error instanceof YamlError)) throw error;
    return { ok: false, error: describeError(text, error.offset, error.message) };
  }
}

function refusal(message: string): ReadResult {
  return { ok: false, error: noPlace(message) };
}
