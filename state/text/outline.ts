// Where each container's entry stands in a text that was read whole: what changes only some of them is read, and written, by their
// lines alone. The others say the same as before, since each entry begins at the beginning of a line of the same block map, and
// nothing in it refers to anything outside. Where that is not certain there is no outline, or no part: the text is read whole.
import { isAlias, isMap as isYamlMap, isNode, isScalar, visit, type YAMLMap } from 'yaml';
import type { JsonSchema } from '../schema/describe-schema.ts';
import { sameBegin, sameEndAfter } from './common-ends.ts';
import { splice, type Spliced } from './splice.ts';
import { isMap, type Tree, type TreeChange, type TreeMap } from './tree.ts';
import { parseYaml, treeOfYaml, YamlError, type YamlText } from './yaml.ts';

const SECTION = 'containers';
/** Characters up to which a text has fewer parts than are read at most, whatever they are. */
const LONGEST = 256 * 1024;

interface Entry {
  readonly key: string;
  /** Where its first line begins. */
  readonly from: number;
}

/** The entries in their order, columns before each, and where the line begins that follows the last. */
export interface Outline {
  readonly entries: readonly Entry[];
  readonly indent: number;
  readonly end: number;
}

export interface OutlinedText {
  readonly text: string;
  readonly tree: Tree;
  readonly outline: Outline;
}

/** The outline of a text that was read; null: it has none. */
export function outlineOf({ text, yaml }: Pick<Spliced, 'text' | 'yaml'>): Outline | null {
  if (text.length > LONGEST || /\r|^%/m.test(text) || refers(yaml)) return null;
  const { contents } = yaml.document;
  if (!isYamlMap(contents) || contents.srcToken?.type !== 'block-map') return null;
  const at = contents.items.findIndex(({ key }) => isScalar(key) && key.value === SECTION);
  const section = contents.items[at]?.value;
  if (!isYamlMap(section)) return null;
  const found = entriesIn(text, section);
  if (found === null) return null;
  const next = contents.items[at + 1]?.key.range[0];
  const end = next === undefined ? endOf(text, found.entries) : lineStart(text, next);
  return text[end - 1] === '\n' ? { ...found, end } : null;
}

/** A text of which only some entries are not as before; null: it must be read whole. */
export function rereadPart(before: OutlinedText, text: string, schema: JsonSchema | null): OutlinedText | null {
  if (text.length > LONGEST || text.includes('\r')) return null;
  const same = sameBegin(before.text, text);
  const sameEnd = sameEndAfter(before.text, text, same);
  const { entries, end } = before.outline;
  // One more before it: what is new may go on with that, down to blank lines at the end of a text.
  const first = Math.max(0, entries.findLastIndex(({ from }) => from < same) - 1);
  const from = entries[first]?.from ?? Infinity;
  const changedTo = before.text.length - sameEnd;
  const next = entries.findIndex((entry) => entry.from >= changedTo && entry.from > from);
  const to = next === -1 ? end : (entries[next]?.from ?? end);
  if (same < from || changedTo > to) return null;
  return withPart(before, { first, next: next === -1 ? entries.length : next, from, to }, text, schema);
}

/** The same for changes that are made in some entries alone; null: they must be made in the whole text. */
export function splicePart(
  before: OutlinedText,
  changes: readonly TreeChange[],
  schema: JsonSchema | null,
): OutlinedText | null {
  if (before.text.length > LONGEST) return null;
  const { entries, end } = before.outline;
  const last = entries.length - 1;
  const places = changes.map(({ path: [section, key] }) => {
    if (section !== SECTION || key === undefined) return null;
    const at = entries.findIndex((entry) => entry.key === key);
    return at === -1 ? last : at;
  });
  if (places.length === 0 || places.includes(null)) return null;
  const touched = places.flatMap((place) => place ?? []);
  // Neighbours: an entry that goes must not be the last one in sight.
  const first = Math.max(0, Math.min(...touched) - 1);
  const next = Math.min(entries.length, Math.max(...touched) + 2);
  const from = entries[first]?.from ?? end;
  const to = entries[next]?.from ?? end;
  const gone = changes.filter(({ op, path }) => op === 'remove' && path.length === 2).length;
  if (next - first <= gone) return null;
  try {
    const text = before.text.slice(from, to);
    const yaml = parseYaml(text);
    const inside = changes.map((change) => ({ ...change, path: change.path.slice(1) }));
    const made = splice({ text, yaml, tree: treeOfYaml(yaml, entriesSchema(schema)) }, inside, entriesSchema(schema));
    const whole = before.text.slice(0, from) + made.text + before.text.slice(to);
    return withPart(before, { first, next, from, to }, whole, schema);
  } catch (error) {
    if (error instanceof RangeError || error instanceof TypeError) throw error;
    return null;
  }
}

interface Part {
  /** The first entry, and the one after the last. */
  readonly first: number;
  readonly next: number;
  /** Where it begins, in both texts, and where it ended before. */
  readonly from: number;
  readonly to: number;
}

/** The text that differs from the one before in this part alone. */
function withPart(
  before: OutlinedText,
  { first, next, from, to }: Part,
  text: string,
  schema: JsonSchema | null,
): OutlinedText | null {
  const { entries, indent, end } = before.outline;
  const longer = text.length - before.text.length;
  const part = text.slice(from, to + longer);
  // Its lines are read by themselves: what does not end in them is an error, and the whole text is read then.
  if (!part.endsWith('\n') || /^(?:\.\.\.|---|%)/m.test(part)) return null;
  const read = readPart(part, entriesSchema(schema));
  if (read === null || read.indent !== indent) return null;
  const [above, below] = [entries.slice(0, first), entries.slice(next)];
  if ([...above, ...below].some(({ key }) => read.tree.has(key))) return null;
  const section = isMap(before.tree) ? before.tree.get(SECTION) : undefined;
  if (!isMap(before.tree) || !isMap(section)) return null;
  const known = (entry: Entry): [string, Tree] => [entry.key, section.get(entry.key) ?? null];
  const members = new Map([...above.map(known), ...read.tree, ...below.map(known)]);
  const moved = (all: readonly Entry[], by: number) => all.map((entry) => ({ key: entry.key, from: entry.from + by }));
  return {
    text,
    tree: new Map(before.tree).set(SECTION, members),
    outline: {
      entries: [...above, ...moved(read.entries, from), ...moved(below, longer)],
      indent,
      end: end + longer,
    },
  };
}

function readPart(
  text: string,
  schema: JsonSchema | null,
): { tree: TreeMap; entries: readonly Entry[]; indent: number } | null {
  try {
    const yaml = parseYaml(text);
    const { contents } = yaml.document;
    if (yaml.endMark || refers(yaml) || !isYamlMap(contents)) return null;
    const found = entriesIn(text, contents);
    const tree = treeOfYaml(yaml, schema);
    return found === null || !isMap(tree) ? null : { tree, ...found };
  } catch (error) {
    if (error instanceof YamlError) return null;
    throw error;
  }
}

/** The entries of a block map, each on lines of its own and in the same column; null: they are not so. */
function entriesIn(text: string, { items, srcToken }: YAMLMap): { entries: Entry[]; indent: number } | null {
  if (srcToken?.type !== 'block-map' || items.length === 0) return null;
  const isPlain = ({ start, key, sep }: (typeof srcToken.items)[number]): boolean =>
    ((key !== null && key !== undefined) || sep === undefined) &&
    start.every(({ type }) => type !== 'explicit-key-ind');
  if (!srcToken.items.every(isPlain)) return null;
  const entries: Entry[] = [];
  let indent = -1;
  for (const { key } of items) {
    if (!isScalar(key) || !key.range) return null;
    const [at] = key.range;
    const from = lineStart(text, at);
    if (indent === -1) indent = at - from;
    if (at - from !== indent || text.slice(from, at).trim() !== '') return null;
    entries.push({ key: String(key.value), from });
  }
  return { entries, indent };
}

/** Whether a value stands for another one. */
function refers({ document }: YamlText): boolean {
  let found = false;
  visit(document, (_, node) => {
    found ||= isAlias(node) || (isNode(node) && 'anchor' in node && typeof node.anchor === 'string');
    return found ? visit.BREAK : undefined;
  });
  return found;
}

/** The section is the last one: up to the end mark, or to the end of the text. */
function endOf(text: string, entries: readonly Entry[]): number {
  const after = entries.at(-1)?.from ?? 0;
  const mark = /^\.\.\./m.exec(text.slice(after));
  return mark === null ? text.length : after + mark.index;
}

function entriesSchema(schema: JsonSchema | null): JsonSchema | null {
  const sections = [schema?.properties?.[SECTION] ?? []].flat();
  const members = sections.flatMap((one) => [one, ...(one.anyOf ?? [])]);
  return members.find(({ additionalProperties }) => typeof additionalProperties === 'object') ?? null;
}

function lineStart(text: string, offset: number): number {
  return offset === 0 ? 0 : text.lastIndexOf('\n', offset - 1) + 1;
}
