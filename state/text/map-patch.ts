// How one map has become another, as JSON: what is gone, what is new or other, and where what is new stands. Pure.

/** A key and its value; of one that is new also the key before it, null: it is the first. */
type Member = readonly [key: string, value: unknown, after?: string | null];

export interface MapPatch {
  readonly gone: readonly string[];
  readonly set: readonly Member[];
}

/**
 * The patch as JSON text, in which `encode` says what a value is; `same`: it is as it was. Null: what was there before stands in
 * another order, which a patch does not say.
 */
export function encodeMapPatch<V>(
  before: ReadonlyMap<string, V>,
  after: ReadonlyMap<string, V>,
  { same, encode }: { readonly same: (was: V, is: V) => boolean; readonly encode: (value: V) => string },
): string | null {
  const gone: string[] = [];
  const kept: string[] = [];
  for (const key of before.keys()) (after.has(key) ? kept : gone).push(key);
  const set: string[] = [];
  let at = 0;
  let last: string | null = null;
  for (const [key, value] of after) {
    const was = before.get(key);
    if (was === undefined) set.push(`[${JSON.stringify(key)},${encode(value)},${JSON.stringify(last)}]`);
    else if (kept[at++] !== key) return null;
    else if (!same(was, value)) set.push(`[${JSON.stringify(key)},${encode(value)}]`);
    last = key;
  }
  return `{"gone":${JSON.stringify(gone)},"set":[${set.join(',')}]}`;
}

/** The map that a patch makes of one. Throws where the patch is of another. */
export function patchMap<V>(
  before: ReadonlyMap<string, V>,
  { gone, set }: MapPatch,
  decode: (value: unknown) => V,
): Map<string, V> {
  const others = new Map<string, V>();
  const added = new Map<string | null, readonly [string, V]>();
  for (const [key, value, after] of set) {
    if (after !== undefined) added.set(after, [key, decode(value)]);
    else if (before.has(key)) others.set(key, decode(value));
    else throw new Error(`the patch changes ${key}, which is not there`);
  }
  const left = new Set(gone);
  const made = new Map<string, V>();
  const add = (place: string | null): void => {
    for (let next = added.get(place); next !== undefined; next = added.get(place)) {
      // Each once: what comes after itself would have no end.
      added.delete(place);
      made.set(...next);
      [place] = next;
    }
  };
  add(null);
  for (const [key, value] of before) {
    if (left.has(key)) continue;
    made.set(key, others.get(key) ?? value);
    add(key);
  }
  const [lost] = added.values();
  if (lost !== undefined) throw new Error(`the patch adds ${lost[0]} after what is not there`);
  return made;
}
