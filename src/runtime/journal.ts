// What has happened, numbered, as far back as is kept: whoever was away for a while goes on from the number it has seen.

export interface Journal<T> {
  /** Keeps an item; gives its number, one more than that of the one before. */
  add(item: T): number;
  /** The number of the newest item; before the first, one less than it will have. */
  last(): number;
  /** The items after a number, oldest first; null when some of them are not kept, or the number was never given out. */
  since(number: number): readonly T[] | null;
  /** All that is kept, oldest first. */
  all(): readonly T[];
}

/**
 * A journal that keeps `most` items. Its first number is `first`: where that is the time since the boot in microseconds,
 * no number is given out twice in a boot, whichever process gives it.
 */
export function createJournal<T>(first: number, most: number): Journal<T> {
  const kept: T[] = [];
  let last = first - 1;
  return {
    add(item) {
      kept.push(item);
      if (kept.length > most) kept.shift();
      last += 1;
      return last;
    },
    last: () => last,
    since(number) {
      const missed = last - number;
      return missed < 0 || missed > kept.length ? null : kept.slice(kept.length - missed);
    },
    all: () => kept,
  };
}
