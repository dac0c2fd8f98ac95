// An uninstallation that was cut short, by the death of the launcher as a rule, has left its entry: it is taken away when what
// it asks for has been done, or a package that somebody brings later would be deleted at once.
import type { Documents } from '../../state/document/documents.ts';
import { asksForDeletion, isSpent, spend } from '../../state/document/spent-entries.ts';
import type { Store } from '../../state/store.ts';

/** Follows the entries that are there now; those that come later are their commands' to take away. */
export function spendLeftEntries(
  store: Store,
  documents: Pick<Documents, 'patch'>,
  failed: (error: unknown) => void,
): void {
  const keys = new Set([...store.get().desired.containers.values()].filter(asksForDeletion).map(({ key }) => key));
  if (keys.size === 0) return;
  function look(): void {
    const state = store.get();
    for (const key of keys) {
      const entry = state.desired.containers.get(key);
      if (entry !== undefined && asksForDeletion(entry) && !isSpent(entry, state)) continue;
      keys.delete(key);
      if (entry === undefined || !asksForDeletion(entry)) continue;
      const { operations, lifetime } = spend(entry, state);
      documents.patch(operations, { lifetime, origin: 'uninstall', command: `uninstall ${key}` }).catch(failed);
    }
    if (keys.size === 0) end();
  }
  const end = store.subscribe(look);
  look();
}
