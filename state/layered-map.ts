// A map that is never changed: another one with one entry more, or other, or less, shares nearly all with it. A copy of a large
// map for each of many changes would be most of what they cost.

/** Below so many entries a copy costs no more. */
const SMALL = 32;
/** Entries that may differ from what is shared. */
const MOST = 16;

const gone = Symbol('gone');

/** `map` with `value` under `key`; undefined = without it. The map stays as it is, and must not be changed later either. */
export function withEntry<K, V>(map: ReadonlyMap<K, V>, key: K, value: V | undefined): ReadonlyMap<K, V> {
  if (map.size < SMALL) {
    const copy = new Map(map);
    if (value === undefined) copy.delete(key);
    else copy.set(key, value);
    return copy;
  }
  const known = map instanceof LayeredMap ? (map as LayeredMap<K, V>) : null;
  const [base, changed] =
    known === null ? [map, []] : known.changed.size < MOST ? [known.base, known.changed] : [new Map(map), []];
  const next = new Map<K, V | typeof gone>(changed);
  next.set(key, value ?? gone);
  const size = map.size + (value === undefined ? 0 : 1) - (map.has(key) ? 1 : 0);
  return new LayeredMap(base, next, size);
}

/** A Map to whoever asks (immer among them), with its entries in two maps. */
class LayeredMap<K, V> extends Map<K, V> {
  readonly base: ReadonlyMap<K, V>;
  readonly changed: ReadonlyMap<K, V | typeof gone>;
  readonly #size: number;

  constructor(base: ReadonlyMap<K, V>, changed: ReadonlyMap<K, V | typeof gone>, size: number) {
    super();
    this.base = base;
    this.changed = changed;
    this.#size = size;
  }

  override get size(): number {
    return this.#size;
  }

  override get(key: K): V | undefined {
    const value = this.changed.get(key);
    if (value === undefined) return this.base.get(key);
    return value === gone ? undefined : value;
  }

  override has(key: K): boolean {
    const value = this.changed.get(key);
    return value === undefined ? this.base.has(key) : value !== gone;
  }

  override *entries(): MapIterator<[K, V]> {
    for (const [key, value] of this.base) {
      const now = this.changed.get(key) ?? value;
      if (now !== gone) yield [key, now];
    }
    for (const [key, value] of this.changed) if (value !== gone && !this.base.has(key)) yield [key, value];
  }

  override *keys(): MapIterator<K> {
    for (const [key] of this.entries()) yield key;
  }

  override *values(): MapIterator<V> {
    for (const [, value] of this.entries()) yield value;
  }

  override [Symbol.iterator](): MapIterator<[K, V]> {
    return this.entries();
  }

  override forEach(callback: (value: V, key: K, map: Map<K, V>) => void): void {
    for (const [key, value] of this.entries()) callback(value, key, this);
  }

  override set(): never {
    throw new TypeError('this map is not changed: withEntry() gives another one');
  }

  override delete(): never {
    return this.set();
  }

  override clear(): never {
    return this.set();
  }
}
