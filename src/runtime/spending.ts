// Spends uninstallations: their entries go when the packages are deleted, or a package that somebody brings later would be
// deleted at once. Also those that were cut short, by the death of the launcher as a rule.
import type { Documents } from '../../state/document/documents.ts';
import { isSpent, spend } from '../../state/document/spent-entries.ts';
import type { State, Store } from '../../state/store.ts';
import { parsePointer } from '../../state/text/pointer.ts';

export interface Spending {
  /** Resolves when no spent entry is left, durably. Rejects with what the document says of that. */
  settled(): Promise<void>;
  close(): void;
}

export interface SpendingPorts {
  readonly store: Store;
  readonly documents: Pick<Documents, 'patch'>;
  /** Told of an entry that could not be taken away. */
  readonly failed: (error: unknown) => void;
}

/** Follows the entries from now on. */
export function spendEntries({ store, documents, failed }: SpendingPorts): Spending {
  const asked = new Set<string>();
  const going = new Map<string, Promise<void>>();

  function note(key: string, { desired }: State): void {
    if (desired.containers.get(key)?.uninstalling === true) asked.add(key);
    else asked.delete(key);
  }

  function look(state: State): void {
    for (const key of asked) {
      const entry = state.desired.containers.get(key);
      if (entry === undefined || going.has(key) || !isSpent(entry, state)) continue;
      const { operations, lifetime } = spend(entry, state);
      const gone = documents
        .patch(operations, { lifetime, origin: 'uninstall', command: `uninstall ${key}` })
        .then(({ durable }) => durable)
        .then(() => undefined)
        .finally(() => going.delete(key));
      going.set(key, gone);
      gone.catch(failed);
    }
  }

  const end = store.subscribe((operations, state) => {
    for (const { path } of operations) {
      const [tree, section, key] = parsePointer(path);
      if (tree !== 'desired' || section !== 'containers') continue;
      for (const each of key === undefined ? state.desired.containers.keys() : [key]) note(each, state);
    }
    if (asked.size > 0) look(state);
  });
  for (const key of store.get().desired.containers.keys()) note(key, store.get());
  look(store.get());
  return {
    async settled() {
      await Promise.all(going.values());
    },
    close: end,
  };
}
