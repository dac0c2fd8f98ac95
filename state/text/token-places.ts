// Where the parts of a document stand in its text, from the parser's tokens.
import type { CST } from 'yaml';

type Token = CST.Token;
type Item = CST.CollectionItem;

/** A pair of a map or an item of a list, in offsets of the text. */
export interface Place {
  /** Of the key, its properties or its indicator. */
  readonly start: number;
  /** Behind the colon or the dash; of an item of a flow list its start; null where there is none. */
  readonly indicatorEnd: number | null;
  /** Of the value with its anchor and tag; null where nothing stands there. */
  readonly valueStart: number | null;
  /** Behind the last character that is no space, comment or line break. */
  readonly end: number;
  /** The same, with the line breaks that belong to a block scalar. */
  readonly fullEnd: number;
  readonly value: Token | null;
}

/** The place of an item of a collection; null for one that holds only comments. */
export function placeOf(item: Item, collection: CST.BlockMap | CST.BlockSequence | CST.FlowCollection): Place | null {
  const starts = item.start.filter(isContent);
  const separators = (item.sep ?? []).filter(isContent);
  const value = item.value === undefined || isEmptyScalar(item.value) ? null : item.value;
  const key = item.key === undefined || item.key === null || isEmptyScalar(item.key) ? null : item.key;
  const parts = [...starts, ...(key === null ? [] : [key]), ...separators, ...(value === null ? [] : [value])];
  const [first] = parts;
  const last = parts.at(-1);
  if (first === undefined || last === undefined) return null;

  const inList = collection.type === 'block-seq' || (collection.type === 'flow-collection' && item.sep === undefined);
  const before = inList && key === null ? starts : separators;
  const indicator = before.find(({ type }) => type === 'map-value-ind' || type === 'seq-item-ind');
  const properties = before.filter(({ type }) => type === 'anchor' || type === 'tag');
  const valueFirst = properties[0] ?? value;
  return {
    start: startOf(first),
    indicatorEnd: indicator === undefined ? null : indicator.offset + indicator.source.length,
    valueStart: valueFirst === null ? null : startOf(valueFirst),
    end: endOf(last, false),
    fullEnd: endOf(last, true),
    value,
  };
}

/** The items of a collection that hold something, with their places. */
export function placesOf(collection: CST.BlockMap | CST.BlockSequence | CST.FlowCollection): Place[] {
  return collection.items.flatMap((item) => placeOf(item, collection) ?? []);
}

/** The offset of a token's first character, properties of a first key included. */
export function startOf(token: Token): number {
  if (token.type !== 'block-map' && token.type !== 'block-seq') return token.offset;
  for (const item of token.items) {
    const place = placeOf(item, token);
    if (place !== null) return place.start;
  }
  return token.offset;
}

/** The offset behind a token's last character; `full`: with the line breaks that belong to a block scalar. */
export function endOf(token: Token, full: boolean): number {
  switch (token.type) {
    case 'block-map':
    case 'block-seq': {
      for (const item of token.items.toReversed()) {
        const place = placeOf(item, token);
        if (place !== null) return full ? place.fullEnd : place.end;
      }
      return token.offset;
    }
    case 'flow-collection': {
      const close = token.end.find(({ type }) => type === 'flow-map-end' || type === 'flow-seq-end');
      return close === undefined ? token.offset : close.offset + close.source.length;
    }
    case 'block-scalar': {
      const header = token.props.reduce((length, part) => length + ('source' in part ? part.source.length : 0), 0);
      const source = full ? token.source : token.source.trimEnd();
      return token.offset + header + source.length;
    }
    default:
      return 'source' in token ? token.offset + token.source.length : token.offset;
  }
}

function isContent({ type }: CST.SourceToken): boolean {
  return type !== 'space' && type !== 'newline' && type !== 'comment' && type !== 'comma';
}

function isEmptyScalar(token: Token): boolean {
  return token.type === 'scalar' && token.source === '';
}
