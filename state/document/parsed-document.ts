// A document that was read: what whoever reads one gives.
import type { Built } from '../schema/build-desired.ts';
import type { DocumentError } from '../text/yaml.ts';

/** Bytes of the largest document that is read. */
export const LARGEST_DOCUMENT = 1024 * 1024;

export type GoodDocument = Built & { readonly ok: true; readonly endMark: boolean };
export type Parsed =
  | GoodDocument
  /** `requires`: the runtime that it asks for, where it says so. */
  | { readonly ok: false; readonly error: DocumentError; readonly requires?: string };
