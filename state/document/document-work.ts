// What is done with documents off the main loop: here or in a worker, the same.
import type { Configured } from '../desired.ts';
import { parseDocument } from './parse-document.ts';
import { documentJsonSchema } from '../schema/document-schema.ts';
import { readText, splice, type Spliced } from '../text/splice.ts';
import type { TreeChange } from '../text/tree.ts';
import { LARGEST_DOCUMENT, type Parsed } from './parsed-document.ts';

export interface DocumentWork {
  parse(text: string): Parsed;
  /** `text` null: the one that was parsed or made last. */
  splice(text: string | null, changes: readonly TreeChange[]): string;
}

/** Makes the functions; they keep the nodes of the last text, on which the next patch is most likely made. */
export function createDocumentWork(configured: Configured): DocumentWork {
  let last: Spliced | null = null;
  return {
    parse(text) {
      const parsed = parseDocument(text, { configured });
      if (!parsed.ok) return parsed;
      const { tree, desired, endMark, yaml } = parsed;
      last = { text, yaml, tree };
      return { ok: true, tree, desired, endMark };
    },
    splice(text, changes) {
      const known = last !== null && (text === null || text === last.text) ? last : null;
      if (known === null && text === null) throw new Error('there is no text to patch');
      const before = known ?? readText(text ?? '', documentJsonSchema());
      last = splice(before, changes, documentJsonSchema());
      const size = Buffer.byteLength(last.text);
      if (size > LARGEST_DOCUMENT)
        throw new Error(`the document would have ${size} bytes; at most ${LARGEST_DOCUMENT} are read`);
      return last.text;
    },
  };
}
