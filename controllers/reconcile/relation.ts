// A relation between strings that is looked up from both sides.

export interface Relation {
  /** Makes these the only values of a key. */
  set(key: string, values: readonly string[]): void;
  of(key: string): readonly string[];
  /** The keys that have a value. */
  withValue(value: string): ReadonlySet<string>;
}

/** An empty relation. */
export function createRelation(): Relation {
  const values = new Map<string, readonly string[]>();
  const keys = new Map<string, Set<string>>();
  const none: ReadonlySet<string> = new Set();
  return {
    set(key, next) {
      for (const value of values.get(key) ?? []) {
        const others = keys.get(value);
        others?.delete(key);
        if (others?.size === 0) keys.delete(value);
      }
      if (next.length === 0) values.delete(key);
      else values.set(key, next);
      for (const value of next) {
        const others = keys.get(value);
        if (others === undefined) keys.set(value, new Set([key]));
        else others.add(key);
      }
    },
    of: (key) => values.get(key) ?? [],
    withValue: (value) => keys.get(value) ?? none,
  };
}
