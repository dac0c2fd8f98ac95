// Documents that are to take the place of the one in force.
import type { Kind } from './generation.ts';
import type { Lock } from './lock.ts';
import type { GoodDocument } from './parsed-document.ts';

/** Where a new document comes from. */
export interface Adopted {
  readonly kind: Kind;
  readonly origin: string;
  /** As Generation.besides has it; null when left out. */
  readonly besides?: string | null;
  /** Why the file does not have it, where it does not. */
  readonly notWritten?: string;
  /** What its entries are to be resolved to, whatever they are now. */
  readonly lock?: Lock;
  /** What signs it, where that is not in it. */
  readonly signature?: string | null;
  /** Whatever stands against it. */
  readonly forced?: boolean;
}

/** One on trial whose packages are awaited: stored, and not in force. */
export interface Staged extends Adopted, Pick<GoodDocument, 'tree' | 'desired' | 'endMark'> {
  readonly generation: number;
  readonly text: string;
  readonly besides: string | null;
  readonly signature: string | null;
}
