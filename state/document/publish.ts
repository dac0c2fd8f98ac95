// What is in force becomes the desired state of the store, entry by entry, so that patches are as small as the change.
import type { InForce } from './in-force.ts';
import { asksForAnother, type Lock } from './lock.ts';
import { emptyDesired } from '../desired.ts';
import { sameStatus, type DocumentStatus } from '../status.ts';
import type { Placed, Store } from '../store.ts';

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
  const { desired: before, generation: generationBefore, lock, overlay, document: documentBefore } = store.get();
  const isFirst = before === emptyDesired && lock.size === 0;
  const containers = isFirst ? [] : changedKeys(before.containers, desired.containers);
  const resolved = [...(locked ?? [])].filter(([key]) => desired.containers.has(key));
  const places: Placed[] = isFirst
    ? [
        { path: ['desired', 'containers'], value: wholeOf(desired.containers) },
        { path: ['lock'], value: wholeOf(new Map(resolved)) },
      ]
    : members('containers', desired.containers, containers);
  places.push(...members('repositories', desired.repositories, changedKeys(before.repositories, desired.repositories)));
  if (desired.autostart !== before.autostart) places.push({ path: ['desired', 'autostart'], value: desired.autostart });
  if (generation !== generationBefore) places.push({ path: ['generation'], value: generation });
  if (!sameStatus(documentBefore, document)) places.push({ path: ['document'], value: document });
  for (const key of containers) {
    const [was, is] = [before.containers.get(key), desired.containers.get(key)];
    const other = is === undefined || (was !== undefined && asksForAnother(was, is));
    if (other && lock.has(key)) places.push({ path: ['lock', key] });
  }
  if (!isFirst) for (const [key, value] of resolved) places.push({ path: ['lock', key], value });
  if (overlay.length > 0 || inForce.overlay.length > 0) {
    const value = inForce.overlay.map(({ pointer, origin, command, generation: since }) => ({
      ...{ pointer, origin, command },
      generation: since,
    }));
    places.push({ path: ['overlay'], value });
  }
  store.set(places);
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
function wholeOf<V>(all: ReadonlyMap<string, V>): ReadonlyMap<string, V> {
  for (const value of all.values()) Object.freeze(value);
  return Object.freeze(all);
}

/** Frozen, a member is not walked through for drafts. */
function members(section: string, after: ReadonlyMap<string, object>, keys: readonly string[]): Placed[] {
  return keys.map((key) => {
    const value = after.get(key);
    return { path: ['desired', section, key], ...(value !== undefined && { value: Object.freeze(value) }) };
  });
}
