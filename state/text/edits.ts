// The edits of a text that make one change of the document.
import { isMap, isScalar, isSeq, type CST, type ParsedNode } from 'yaml';
import { renderKey, renderValue } from './render.ts';
import { placesOf, startOf, endOf, type Place } from './token-places.ts';
import type { TreeChange, Tree } from './tree.ts';
import type { YamlText } from './yaml.ts';

/** Replaces the text between two offsets. `structural`: a pair or an item comes or goes, so neighbours are concerned. */
export interface Edit {
  readonly from: number;
  readonly to: number;
  readonly text: string;
  readonly structural: boolean;
}

/** A change that cannot be made in the text at its place. */
export class SpliceError extends Error {
  override readonly name = 'SpliceError';
}

type Collection = CST.BlockMap | CST.BlockSequence | CST.FlowCollection;

/** A node that holds others, its tokens, and the pairs or items in it. */
interface Holder {
  readonly node: ParsedNode;
  readonly collection: Collection;
  readonly places: readonly Place[];
  /** Where the node itself stands in what holds it; null = it is the document. */
  readonly place: Place | null;
  /** Whether it is the value of a pair of a block map. */
  readonly inBlockMap: boolean;
}

/** The edits for one change. Throws SpliceError where the text does not allow it at that place. */
export function changeEdits(yaml: YamlText, change: TreeChange): Edit[] {
  const { text } = yaml;
  const key = change.path.at(-1);
  if (key === undefined) return change.op === 'remove' ? [] : [replaceRoot(yaml, change.value)];
  const holder = findHolder(yaml, change.path.slice(0, -1));
  const index = isMap(holder.node) ? memberIndex(holder, key) : Number(key);
  const place = index === null ? undefined : holder.places[index];

  if (change.op === 'remove') {
    if (place === undefined || index === null) throw new SpliceError(`${key} is not there`);
    if (holder.places.length === 1) return replaceHolder(yaml, holder, isMap(holder.node) ? '{}' : '[]');
    return holder.collection.type === 'flow-collection'
      ? removeFromFlow(text, holder.collection, { places: holder.places, index, place })
      : [removeFromBlock(text, holder, index, place)];
  }
  if (change.op === 'set' && place !== undefined) return replaceValue(text, holder, place, renderValue(change.value));
  const inFlow = holder.collection.type === 'flow-collection';
  if (isMap(holder.node)) {
    return inFlow && !canOpen(yaml, holder)
      ? [
          addToFlow(
            holder.collection,
            holder.places.length,
            holder,
            `${renderKey(key, true)} ${renderValue(change.value)}`,
          ),
        ]
      : addToBlock(text, holder, holder.places.length, `${renderKey(key, false)} ${renderValue(change.value)}`);
  }
  const at = index ?? holder.places.length;
  return inFlow
    ? [addToFlow(holder.collection, at, holder, renderValue(change.value))]
    : addToBlock(text, holder, at, `- ${renderValue(change.value)}`);
}

function findHolder(yaml: YamlText, path: readonly string[]): Holder {
  let holder = holderOf(yaml.document.contents, null, false);
  for (const key of path) {
    const index: number | null = isMap(holder.node) ? memberIndex(holder, key) : Number(key);
    const place: Place | undefined = index === null ? undefined : holder.places[index];
    const child: ParsedNode | null = index === null ? null : childAt(holder.node, index);
    if (place === undefined) throw new SpliceError(`${key} is not there`);
    holder = holderOf(child, place, holder.collection.type === 'block-map');
  }
  return holder;
}

function childAt(node: ParsedNode, index: number): ParsedNode | null {
  if (isMap(node)) return node.items[index]?.value ?? null;
  return isSeq(node) ? (node.items[index] ?? null) : null;
}

function holderOf(node: ParsedNode | null, place: Place | null, inBlockMap: boolean): Holder {
  if (!isMap(node) && !isSeq(node)) throw new SpliceError('there is neither a map nor a list');
  const collection = node.srcToken;
  if (collection === undefined) throw new SpliceError('the collection has no tokens');
  const places = placesOf(collection);
  // A node that the tokens do not show one to one (a pair in a list, an empty item) is left to a wider edit.
  if (places.length !== node.items.length) throw new SpliceError('the collection has another form than expected');
  return { node, collection, places, place, inBlockMap };
}

function memberIndex({ node }: Holder, key: string): number | null {
  if (!isMap(node)) return null;
  const index = node.items.findIndex((pair) => isScalar(pair.key) && String(pair.key.value) === key);
  return index === -1 ? null : index;
}

function replaceRoot({ text, document }: YamlText, value: Tree): Edit {
  const token = document.contents?.srcToken;
  if (token === undefined) throw new SpliceError('the document is empty');
  const [from, to] = [startOf(token), endOf(token, false)];
  const atLineStart = from === lineStart(text, from);
  return { from, to, text: (atLineStart ? '' : ' ') + renderValue(value), structural: true };
}

function replaceHolder(yaml: YamlText, { place, node, inBlockMap }: Holder, rendered: string): Edit[] {
  if (place === null) return [replaceRoot(yaml, isMap(node) ? new Map() : [])];
  const edits = replaceValueAt(yaml.text, place, rendered, inBlockMap);
  return edits.map((edit) => ({ ...edit, structural: true }));
}

function replaceValue(text: string, { collection }: Holder, place: Place, rendered: string): Edit[] {
  return replaceValueAt(text, place, rendered, collection.type === 'block-map');
}

/** A value is written where the old one stood; one of several lines below its key moves up to the key's line. */
function replaceValueAt(text: string, place: Place, rendered: string, inBlockMap: boolean): Edit[] {
  const { indicatorEnd, valueStart, value, end, fullEnd } = place;
  if (valueStart === null) {
    if (indicatorEnd !== null)
      return [{ from: indicatorEnd, to: indicatorEnd, text: ` ${rendered}`, structural: false }];
    return [{ from: end, to: end, text: `: ${rendered}`, structural: false }];
  }
  const below = indicatorEnd !== null && text.slice(indicatorEnd, valueStart).includes('\n');
  const isBlock = value?.type === 'block-map' || value?.type === 'block-seq';
  if (below && isBlock && inBlockMap) {
    const from = lineStart(text, valueStart);
    const to = Math.max(fullEnd, nextLine(text, end));
    return [
      { from: indicatorEnd, to: indicatorEnd, text: ` ${rendered}`, structural: false },
      { from, to, text: '', structural: false },
    ];
  }
  const gap = indicatorEnd === valueStart ? ' ' : '';
  return [{ from: valueStart, to: end, text: gap + rendered, structural: false }];
}

/** The lines of a pair or an item; of one that shares its line with what is before it, up to the next one. */
function removeFromBlock(text: string, { places }: Holder, index: number, place: Place): Edit {
  const from = lineStart(text, place.start);
  if (text.slice(from, place.start).trim() === '') {
    return { from, to: Math.max(place.fullEnd, nextLine(text, place.end)), text: '', structural: true };
  }
  const next = places[index + 1];
  if (next === undefined) throw new SpliceError('it shares its line with what is before it');
  return { from: place.start, to: next.start, text: '', structural: true };
}

/** The pair and the comma before it, or behind it when it is the first, and blanks between. Comments and lines between stay. */
function removeFromFlow(
  text: string,
  collection: CST.FlowCollection,
  { places, index, place }: { readonly places: readonly Place[]; readonly index: number; readonly place: Place },
): Edit[] {
  const items = collection.items.filter(({ key, sep, value, start }) => key ?? sep ?? value ?? start.length > 0);
  const item = items[index === 0 ? 1 : index];
  const comma = item?.start.find(({ type }) => type === 'comma');
  if (comma === undefined) throw new SpliceError('there is no comma');
  const [from, to] = index === 0 ? [place.start, places[1]?.start ?? place.end] : [comma.offset, place.end];
  const between = index === 0 ? text.slice(place.end, to) : text.slice(from, place.start);
  if (/^[ \t]*,[ \t]*$/.test(between)) return [{ from, to, text: '', structural: true }];
  return [
    { from: place.start, to: place.end, text: '', structural: true },
    { from: comma.offset, to: comma.offset + 1, text: '', structural: true },
  ];
}

function addToFlow(collection: Collection, at: number, { places }: Holder, rendered: string): Edit {
  const previous = places[at - 1];
  const next = places[at];
  if (previous !== undefined) return { from: previous.end, to: previous.end, text: `, ${rendered}`, structural: true };
  if (next !== undefined) return { from: next.start, to: next.start, text: `${rendered}, `, structural: true };
  const open = collection.offset + 1;
  const isMapStart = collection.type === 'flow-collection' && collection.start.type === 'flow-map-start';
  return { from: open, to: open, text: isMapStart ? ` ${rendered} ` : rendered, structural: true };
}

/** A line of its own, before the item at that index or behind the last one. */
function addToBlock(text: string, holder: Holder, at: number, line: string): Edit[] {
  const { places, collection, place } = holder;
  const eol = text.includes('\r\n') ? '\r\n' : '\n';
  const [first] = places;
  if (first === undefined) return openBlock(text, place, collection, line, eol);
  const indent = ' '.repeat(first.start - lineStart(text, first.start));
  const next = places[at];
  if (next !== undefined) {
    const from = lineStart(text, next.start);
    if (text.slice(from, next.start).trim() !== '') {
      return [{ from: next.start, to: next.start, text: line + eol + indent, structural: true }];
    }
    return [{ from, to: from, text: indent + line + eol, structural: true }];
  }
  const end = Math.max(...places.map(({ fullEnd }) => fullEnd));
  const from = Math.max(end, nextLine(text, Math.max(...places.map((one) => one.end))));
  const whole = from === 0 || text[from - 1] === '\n';
  return [{ from, to: from, text: whole ? indent + line + eol : eol + indent + line, structural: true }];
}

/** An empty `{}` that is the value of a pair on a line of its own grows downwards. */
function canOpen({ text }: YamlText, { collection, places, place, inBlockMap }: Holder): boolean {
  if (places.length > 0 || !inBlockMap || place === null || place.valueStart !== collection.offset) return false;
  if (text.slice(collection.offset, place.end) !== '{}') return false;
  const ownLine = text.slice(lineStart(text, place.start), place.start).trim() === '';
  return ownLine && !text.slice(place.start, place.end).includes('\n');
}

function openBlock(text: string, place: Place | null, collection: Collection, line: string, eol: string): Edit[] {
  if (place === null || place.indicatorEnd === null) throw new SpliceError('there is no line to open a map below');
  const indent = ' '.repeat(place.start - lineStart(text, place.start) + 2);
  const from = nextLine(text, place.end);
  const whole = text[from - 1] === '\n';
  return [
    { from: place.indicatorEnd, to: endOf(collection, false), text: '', structural: true },
    { from, to: from, text: whole ? indent + line + eol : eol + indent + line, structural: true },
  ];
}

function lineStart(text: string, offset: number): number {
  return offset === 0 ? 0 : text.lastIndexOf('\n', offset - 1) + 1;
}

/** The start of the next line, or the end of the text. */
function nextLine(text: string, offset: number): number {
  const end = text.indexOf('\n', offset);
  return end === -1 ? text.length : end + 1;
}
