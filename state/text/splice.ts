// A patch written into the text of a document: only the bytes of what changes are touched.
import { changeEdits, SpliceError, type Edit } from './edits.ts';
import { aliasEdits } from './aliases.ts';
import { renderValue } from './render.ts';
import type { JsonSchema } from '../schema/describe-schema.ts';
import { applyChange, sameTree, treeAt, type TreeChange, type Tree } from './tree.ts';
import { parseYaml, treeOfYaml, type YamlText } from './yaml.ts';

export interface Spliced {
  readonly text: string;
  readonly yaml: YamlText;
  readonly tree: Tree;
}

/** A text with its nodes and its tree; throws YamlError. */
export function readText(text: string, schema: JsonSchema | null): Spliced {
  const yaml = parseYaml(text);
  return { text, yaml, tree: treeOfYaml(yaml, schema) };
}

/**
 * The text with the changes made in it. Every outcome is read again: it says exactly what the changes make of what the text
 * said. Where a change cannot be made at its own place, what holds it is written anew. Throws SpliceError when that fails too.
 */
export function splice(before: Spliced, changes: readonly TreeChange[], schema: JsonSchema | null): Spliced {
  const wanted = changes.reduce((tree, change) => applyChange(tree, change), before.tree);
  const quick = attempt(() => spliceTogether(before, changes, schema), wanted);
  if (quick !== null) return quick;
  return changes.reduce((now, change) => spliceOne(now, change, schema), before);
}

/** As many changes at once as do not touch each other, since each reading of a big text takes a while. */
function spliceTogether(before: Spliced, changes: readonly TreeChange[], schema: JsonSchema | null): Spliced {
  let now = before;
  let edits: Edit[] = [];
  let places: (readonly string[])[] = [];
  const flush = (): void => {
    now = readText(applyEdits(now.text, edits), schema);
    edits = [];
    places = [];
  };
  for (const change of changes) {
    if (places.some((place) => touches(place, change.path))) flush();
    const unaliased = aliasEdits(now.yaml, change.path);
    if (unaliased.length > 0) {
      if (edits.length > 0) flush();
      now = unalias(now, change.path, schema);
    }
    const made = changeEdits(now.yaml, change);
    edits.push(...made);
    // Members of one map are independent of each other as long as only values are written in place.
    places.push(made.every(({ structural }) => !structural) ? change.path : change.path.slice(0, -1));
  }
  flush();
  return now;
}

function spliceOne(before: Spliced, change: TreeChange, schema: JsonSchema | null): Spliced {
  const wanted = applyChange(before.tree, change);
  const base = unalias(before, change.path, schema);
  for (let widened: TreeChange | null = change; widened !== null; widened = widen(widened, wanted)) {
    const current = widened;
    const made = attempt(() => readText(applyEdits(base.text, changeEdits(base.yaml, current)), schema), wanted);
    if (made !== null) return made;
  }
  throw new SpliceError('the patch cannot be written into the text of the document');
}

/** The same outcome by writing anew what holds the changed value. */
function widen(change: TreeChange, wanted: Tree): TreeChange | null {
  if (change.path.length === 0) return null;
  const path = change.path.slice(0, -1);
  return { op: 'set', path, value: treeAt(wanted, path) };
}

/** Aliases that would be changed along, or that stand in the way, are replaced by what they stand for. */
function unalias(before: Spliced, path: readonly string[], schema: JsonSchema | null): Spliced {
  let now = before;
  for (let aliases = aliasEdits(now.yaml, path); aliases.length > 0; aliases = aliasEdits(now.yaml, path)) {
    const edits = aliases.map(({ from, to, at }) => {
      return { from, to, text: renderValue(treeAt(before.tree, at)), structural: false };
    });
    now = readText(applyEdits(now.text, edits), schema);
  }
  return now;
}

function attempt(make: () => Spliced, wanted: Tree): Spliced | null {
  try {
    const made = make();
    return sameTree(made.tree, wanted) ? made : null;
  } catch (error) {
    if (error instanceof RangeError || error instanceof TypeError) throw error;
    return null;
  }
}

function touches(a: readonly string[], b: readonly string[]): boolean {
  const [short, long] = a.length < b.length ? [a, b] : [b, a];
  return short.every((key, index) => key === long[index]);
}

function applyEdits(text: string, edits: readonly Edit[]): string {
  const sorted = edits.toSorted((a, b) => a.from - b.from || a.to - b.to);
  let made = '';
  let at = 0;
  for (const { from, to, text: inserted } of sorted) {
    if (from < at) throw new SpliceError('two changes of the text overlap');
    made += text.slice(at, from) + inserted;
    at = to;
  }
  return made + text.slice(at);
}
