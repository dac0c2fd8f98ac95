// What is in force becomes the desired state of the store, entry by entry, so that patches are as small as the change.
import type { Draft } from 'immer';
import type { ContainerEntry } from './desired.ts';
import type { InForce } from './in-force.ts';
import type { DocumentStatus } from './status.ts';
import type { State, Store } from './store.ts';

/** Puts a generation into the store. What a requirement was resolved to is forgotten when its entry asks for another package. */
export function publish(store: Store, inForce: InForce, generation: number, document: DocumentStatus): void {
  const { desired } = inForce.effective;
  store.update((draft) => {
    const before = store.get().desired;
    replaceMembers(draft.desired.containers, before.containers, desired.containers);
    replaceMembers(draft.desired.repositories, before.repositories, desired.repositories);
    draft.desired.autostart = desired.autostart;
    draft.generation = generation;
    if (!sameStatus(store.get().document, document)) draft.document = document;
    for (const key of store.get().lock.keys()) {
      const [was, is] = [before.containers.get(key), desired.containers.get(key)];
      if (is === undefined || (was !== undefined && asksForAnother(was, is))) draft.lock.delete(key);
    }
    if (draft.overlay.length > 0 || inForce.overlay.length > 0) {
      draft.overlay = inForce.overlay.map(({ pointer, origin, generation: since }) => ({
        pointer,
        origin,
        generation: since,
      }));
    }
  });
}

function replaceMembers<V>(
  draft: Map<string, Draft<V>>,
  before: ReadonlyMap<string, V>,
  after: ReadonlyMap<string, V>,
): void {
  for (const [key, value] of after) if (before.get(key) !== value) draft.set(key, value as Draft<V>);
  for (const key of before.keys()) if (!after.has(key)) draft.delete(key);
}

function asksForAnother(was: ContainerEntry, is: ContainerEntry): boolean {
  const fields = ['version', 'repository', 'source', 'digest'] as const;
  return fields.some((field) => was[field] !== is[field]);
}

/** Whether two statuses say the same. */
export function sameStatus(a: DocumentStatus, b: DocumentStatus): boolean {
  const same = a.status === b.status && a.generation === b.generation && a.error?.message === b.error?.message;
  return same && a.error?.line === b.error?.line && a.error?.column === b.error?.column;
}

/** The status of a document that was read and is in force. */
export function goodDocument(generation: number): DocumentStatus {
  return { status: 'ok', generation, error: null };
}

/** The status while the file cannot be used and an earlier generation stays in force. */
export function badDocument(state: State, error: { line: number; column: number; message: string }): DocumentStatus {
  const { line, column, message } = error;
  return { status: 'invalid', generation: state.document.generation, error: { line, column, message } };
}
