// What every syntax of a manifest is read into: a small tree that keeps each scalar's source and position, because
// only the schema knows whether `1.50` is a number or a text.
import { ManifestError, type ManifestIssue } from '../package-error.ts';

interface Placed {
  /** Offset in the text; null where the syntax's reader does not tell. */
  readonly at: number | null;
  /** A local YAML tag without its "!": the name of a variant. */
  readonly tag: string | null;
}

/** `plain`: not quoted, so it may be a number, a boolean or null. */
export interface Scalar extends Placed {
  readonly kind: 'scalar';
  readonly text: string;
  readonly plain: boolean;
}

export interface List extends Placed {
  readonly kind: 'list';
  readonly items: readonly Node[];
}

export interface Dictionary extends Placed {
  readonly kind: 'map';
  readonly entries: ReadonlyMap<string, Entry>;
}

/** A member of a map; `at` is where its key stands. */
export interface Entry {
  readonly at: number | null;
  readonly value: Node;
}

export type Node = Scalar | List | Dictionary;

/** Nesting and expanded size that any reader accepts: far more than a manifest needs, far less than a stack holds. */
export const DEEPEST = 100;
export const MOST_NODES = 20_000;

export function scalar(text: string, from: Placed | null = null, plain = false): Scalar {
  return { kind: 'scalar', at: from?.at ?? null, tag: null, text, plain };
}

/** A map of nodes made by us in place of `from`. */
export function dictionary(from: Placed, entries: readonly (readonly [string, Node])[]): Dictionary {
  return {
    kind: 'map',
    at: from.at,
    tag: null,
    entries: new Map(entries.map(([key, value]) => [key, { at: value.at, value }])),
  };
}

/** Whether it is the null of YAML's core schema. */
export function isNull(node: Node): boolean {
  return node.kind === 'scalar' && node.plain && node.tag === null && /^(?:|~|null|Null|NULL)$/.test(node.text);
}

/** Adds an entry. Throws when the key is there already. */
export function addEntry(entries: Map<string, Entry>, key: string, at: number | null, value: Node, text: string): void {
  if (entries.has(key)) throw manifestError(text, at, [], `the key "${key.slice(0, 100)}" is there twice`);
  entries.set(key, { at, value });
}

/** A refusal of the manifest, with line and column where known, and the field's name. */
export function manifestError(
  text: string,
  at: number | null,
  path: readonly PropertyKey[],
  message: string,
  options?: ErrorOptions,
): ManifestError {
  return new ManifestError('manifest', [manifestIssue(text, at, path, message)], options);
}

/** Something that is wrong at an offset in the text of a manifest. */
export function manifestIssue(
  text: string,
  at: number | null,
  path: readonly PropertyKey[],
  message: string,
): ManifestIssue {
  const before = at === null ? null : text.slice(0, at);
  const line = before === null ? null : before.split('\n').length;
  const column = before === null ? null : before.length - before.lastIndexOf('\n');
  return { line, column, field: path.map(String).join('.').slice(0, 200), message };
}
