// What version requirements were resolved to, by entry. Pure. A lock belongs to its generation: it is added to, and never
// changed; another version for the same entry is another generation.
import type { ContainerEntry } from '../desired.ts';
import type { Built } from '../schema/build-desired.ts';
import type { Locked, State } from '../store.ts';

export type Lock = ReadonlyMap<string, Locked>;

/** Whether an entry asks for another package than before, so that what it was resolved to is forgotten. */
export function asksForAnother(was: ContainerEntry, is: ContainerEntry): boolean {
  const fields = ['version', 'repository', 'source', 'digest'] as const;
  return fields.some((field) => was[field] !== is[field]);
}

/** Whether two entries ask for the same package. */
export function sameSource(was: ContainerEntry | undefined, is: ContainerEntry | undefined): boolean {
  return was !== undefined && is !== undefined && !asksForAnother(was, is);
}

/** Whether two entries of a lock mean the same package. */
export function sameLock(a: Locked | undefined, b: Locked | undefined): boolean {
  return a?.version === b?.version && a?.repository === b?.repository && a?.digest === b?.digest;
}

/** What is in force without what lasts until the boot ends. */
export interface Stored {
  /** The document that `lock` belongs to. */
  readonly written: Built;
  readonly lock: Lock;
  /** What entries were resolved to until the boot ends. */
  readonly bootLock: Lock;
}

/** The lock of a document that is about to be stored: what its entries are resolved to, without what the boot ends. */
export function lockOf({ desired }: Built, now: Pick<State, 'desired' | 'lock'>, { written, ...own }: Stored): Lock {
  const found = new Map<string, Locked>();
  for (const [key, entry] of desired.containers) {
    const [shown, resolved] = [now.desired.containers.get(key), now.lock.get(key)];
    const isPassing = own.bootLock.has(key) && sameLock(own.bootLock.get(key), resolved);
    if (resolved !== undefined && sameSource(shown, entry) && !isPassing) {
      found.set(key, resolved);
      continue;
    }
    const [before, kept] = [written.desired.containers.get(key), own.lock.get(key)];
    if (kept !== undefined && sameSource(before, entry)) found.set(key, kept);
  }
  return found;
}

/** What of a lock holds under another document: the entries that ask for the same package as before. */
export function keptLock(lock: Lock, before: Built, after: Built): Lock {
  return new Map(
    [...lock].filter(([key]) => sameSource(before.desired.containers.get(key), after.desired.containers.get(key))),
  );
}
