// What is done with documents off the main loop: here or in a worker, the same.
import type { Configured } from '../desired.ts';
import { parseDocument } from './parse-document.ts';
import { build } from '../schema/build-desired.ts';
import { documentJsonSchema } from '../schema/document-schema.ts';
import { outlineOf, rereadPart, splicePart, type Outline, type OutlinedText } from '../text/outline.ts';
import { readText, splice, type Spliced } from '../text/splice.ts';
import type { TreeChange } from '../text/tree.ts';
import { LARGEST_DOCUMENT, type GoodDocument, type Parsed } from './parsed-document.ts';

export interface DocumentWork {
  parse(text: string): Parsed;
  /** `text` null: the one that was parsed or made last. */
  splice(text: string | null, changes: readonly TreeChange[]): string;
  /** Of the text that was parsed or made last; null: it has none. */
  outline(): OutlineOfText | null;
  /** A text of which only some entries are other than before; null: it must be parsed whole. */
  parsePart(before: KnownText, text: string): KnownText | null;
  /** Changes of some entries alone; null: they must be made in the whole text. */
  splicePart(before: KnownText, changes: readonly TreeChange[]): KnownText | null;
}

export interface OutlineOfText {
  readonly outline: Outline;
  readonly endMark: boolean;
}

/** A text that was read, and what it asks for. */
export interface KnownText extends OutlinedText, Pick<GoodDocument, 'desired' | 'endMark'> {}

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
    outline() {
      const outline = last === null ? null : outlineOf(last);
      return last === null || outline === null ? null : { outline, endMark: last.yaml.endMark };
    },
    parsePart: (before, text) => known(before, rereadPart(before, text, documentJsonSchema())),
    splicePart: (before, changes) => known(before, splicePart(before, changes, documentJsonSchema())),
  };

  /** Entries that are as before are not checked again; what is wrong is told by whoever reads the whole text. */
  function known(before: KnownText, now: OutlinedText | null): KnownText | null {
    if (now === null) return null;
    const built = build(now.tree, { before, generation: 0, writtenBy: 'person', configured });
    return 'message' in built ? null : { ...now, desired: built.desired, endMark: before.endMark };
  }
}
