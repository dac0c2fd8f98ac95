// Whether the kernel tells of all that one thing depends on: several directories, as a rule.

/** Notes that the kernel does not tell of something, and why; null: it does again. */
export type Blind = (what: string, why: string | null) => void;

/** Gives a function to note it with; `tell` is called with one reason as long as there is any, and with null at the end. */
export function createBlindness(tell: (why: string | null) => void): Blind {
  const untold = new Map<string, string>();
  const reason = (): string | null => [...untold.values()][0] ?? null;
  return (what, why) => {
    const before = reason();
    if (why === null) untold.delete(what);
    else untold.set(what, why);
    if (reason() !== before) tell(reason());
  };
}
