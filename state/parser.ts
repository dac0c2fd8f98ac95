// Reading and splicing documents off the main loop.
import type { Built } from './build.ts';
import type { Change } from './tree.ts';
import type { DocumentError } from './yaml.ts';

/** Bytes of the largest document that is read. */
export const LARGEST_DOCUMENT = 1024 * 1024;

export type Parsed =
  (Built & { readonly ok: true; readonly endMark: boolean }) | { readonly ok: false; readonly error: DocumentError };

export interface Parser {
  /** What a text asks for. */
  parse(text: string): Promise<Parsed>;
  /** The text with changes made in it. Rejects when that cannot be done. */
  splice(text: string, changes: readonly Change[]): Promise<string>;
  close(): Promise<void>;
}

/** Makes a parser. */
export function createParser(): Parser {
  return {
    async parse(text) {
      const { parseDocument } = await import('./document.ts');
      return parseDocument(text);
    },
    async splice(text, changes) {
      const { splice } = await import('./splice.ts');
      return splice(text, changes);
    },
    close: () => Promise.resolve(),
  };
}
