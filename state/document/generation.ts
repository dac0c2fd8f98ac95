// One generation: what is stored of a change of the document.
import { hash } from 'node:crypto';
import type { Desired } from '../desired.ts';
import type { Locked } from '../store.ts';
import type { Tree } from '../text/tree.ts';

/** Who made a generation: an edit of the file, `apply` (and rollback), or a console command. */
export type Kind = 'file' | 'apply' | 'console';

/** What `history` shows of a generation. */
export interface Summary {
  readonly generation: number;
  readonly kind: Kind;
  readonly origin: string;
  /** ms since the epoch. */
  readonly time: number;
  readonly schema: string;
  /** Version of the runtime that stored it. */
  readonly runtime: string;
  /** Somebody has had it go on over what stood against it. */
  readonly forced: boolean;
}

export interface Generation extends Summary {
  readonly text: string;
  readonly endMark: boolean;
  /** What signs the text, where that is not in it. */
  readonly signature: string | null;
  /**
   * The hash of what the file held when this was put into force without being written to it, '' = there was no file; null: it
   * is what the file held.
   */
  readonly besides: string | null;
  /** The first of the console's patches that were folded into this one; ms since the epoch. */
  readonly since: number;
  /** The confirmed generation that it goes back to, where it was on trial when it was stored; null: it was not. */
  readonly trial: number | null;
  readonly lock: ReadonlyMap<string, Locked>;
  readonly tree: Tree;
  readonly desired: Desired;
}

/** What a summary has, and no more. */
export function summaryOf({ generation, kind, origin, time, schema, runtime, forced }: Summary): Summary {
  return { generation, kind, origin, time, schema, runtime, forced };
}

/** SHA-256 (hex) of a text. */
export function hashText(text: string): string {
  return hash('sha256', text);
}
