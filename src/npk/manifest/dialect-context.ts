// What the rewritings of the older dialect share.
import type { OutputLevel } from '../../../state/names.ts';
import type { Node } from './nodes.ts';
import type { Tree } from './syntax.ts';

/** What a rewriting of one field needs besides the field. */
export interface Context {
  readonly tree: Tree;
  /** The package is of the older format as a whole. */
  readonly old: boolean;
  /** Reports a form of the older dialect; each text is kept once. */
  note(deprecation: string): void;
  /** What it says of the log, which today's manifest has no place for. */
  readonly logs: Map<'stdout' | 'stderr', { level: OutputLevel; tag: string }>;
}

/** Today's form of a field; null = the field says nothing. */
export type Rewriting = (node: Node, context: Context) => Node | null;
