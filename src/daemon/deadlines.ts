// The launcher has one deadline, which also wakes a reconciler that sleeps; everybody who waits for a time shares it.
export interface Deadlines {
  /** Gives somebody a deadline of his own (CLOCK_BOOTTIME in ms; null = none). */
  of(): (at: number | null) => void;
  /** The launcher's has come: it has none any more. */
  fired(): void;
}

/** `set` tells the launcher the earliest. */
export function createDeadlines(set: (at: number | null) => void): Deadlines {
  const all = new Map<object, number>();
  let present: number | null = null;

  function tell(): void {
    const next = all.size === 0 ? null : Math.min(...all.values());
    if (next === present) return;
    present = next;
    set(next);
  }

  return {
    of() {
      const own = {};
      return (at) => {
        if (at === null) all.delete(own);
        else all.set(own, at);
        tell();
      };
    },
    fired() {
      // Who has waited for it looks, and asks for the next; who waits for a later one still does.
      for (const [own, at] of all) if (at === present) all.delete(own);
      present = null;
      tell();
    },
  };
}
