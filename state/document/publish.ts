// What is in force becomes the desired state of the store, entry by entry, so that patches are as small as the change.
import type { Draft } from 'immer';
import type { InForce } from './in-force.ts';
import { asksForAnother, type Lock } from './lock.ts';
import { emptyDesired } from '../desired.ts';
import { sameStatus, type DocumentStatus } from '../status.ts';
import type { Store } from '../store.ts';

/**
 * Puts a generation into the store. What a requirement was resolved to is forgotten when its entry asks for another package;
 * `locked` is what entries are resolved to, whatever they were before.
 */
export function publish(
  store: Store,
  inForce: InForce,
  generation: number,
  document: DocumentStatus,
  locked: Lock | null = null,
): void {
  const { desired } = inForce.effective;
  const { desired: before, lock, overlay, document: documentBefore } = store.get();
  const isFirst = before === emptyDesired && lock.size === 0;
  const containers = isFirst ? [] : changedKeys(before.containers, desired.containers);
  const repositories = changedKeys(before.repositories, desired.repositories);
  const resolved = [...(locked ?? [])].filter(([key]) => desired.containers.has(key));
  store.update((draft) => {
    if (isFirst) {
      draft.desired.containers = wholeOf(desired.containers);
      draft.lock = wholeOf(new Map(resolved));
    } else setMembers(draft.desired.containers, desired.containers, containers);
    setMembers(draft.desired.repositories, desired.repositories, repositories);
    draft.desired.autostart = desired.autostart;
    draft.generation = generation;
    if (!sameStatus(documentBefore, document)) draft.document = document;
    for (const key of containers) {
      const [was, is] = [before.containers.get(key), desired.containers.get(key)];
      const other = is === undefined || (was !== undefined && asksForAnother(was, is));
      if (other && lock.has(key)) draft.lock.delete(key);
    }
    if (!isFirst) for (const [key, version] of resolved) draft.lock.set(key, version);
    if (overlay.length > 0 || inForce.overlay.length > 0) {
      draft.overlay = inForce.overlay.map(({ pointer, origin, command, generation: since }) => ({
        ...{ pointer, origin, command },
        generation: since,
      }));
    }
  });
}

function changedKeys<V>(before: ReadonlyMap<string, V>, after: ReadonlyMap<string, V>): string[] {
  if (before === after) return [];
  const changed: string[] = [];
  let kept = 0;
  for (const [key, value] of after) {
    const earlier = before.get(key);
    if (earlier !== undefined) kept++;
    if (earlier !== value) changed.push(key);
  }
  if (kept < before.size) for (const key of before.keys()) if (!after.has(key)) changed.push(key);
  return changed;
}

/** All members are one change; frozen, they are not walked through for drafts. */
function wholeOf<V>(members: ReadonlyMap<string, V>): Map<string, Draft<V>> {
  for (const value of members.values()) Object.freeze(value);
  return Object.freeze(members) as Map<string, Draft<V>>;
}

function setMembers<V>(draft: Map<string, Draft<V>>, after: ReadonlyMap<string, V>, keys: readonly string[]): void {
  for (const key of keys) {
    const value = after.get(key);
    if (value === undefined) draft.delete(key);
    // Frozen, it is not walked through for drafts.
    else draft.set(key, Object.freeze(value) as Draft<V>);
  }
}
