// Entries that a command has made to have a package deleted: once that has been done they ask for nothing any more. Pure.
import type { Operation } from 'fast-json-patch';
import type { ContainerEntry } from '../desired.ts';
import type { State } from '../store.ts';
import { formatPointer } from '../text/pointer.ts';

/** Whether an entry is there for a deletion alone that a command has asked for. */
export function asksForDeletion({ state, writtenBy }: ContainerEntry): boolean {
  return state === 'absent' && writtenBy === 'console';
}

/** Whether what it asks for has been done: nothing of it is installed, as far as every repository can be read. */
export function isSpent(entry: ContainerEntry, { observed, unknown }: State): boolean {
  if (unknown !== null || [...observed.repositories.values()].some(({ error }) => error !== null)) return false;
  const left = observed.packages.get(entry.name) ?? [];
  return asksForDeletion(entry) && left.every(({ version }) => entry.version !== null && version !== entry.version);
}

/** Takes a spent entry away: from the overlay where it lasts until the boot ends, else from the document. */
export function spend(
  { key }: ContainerEntry,
  { overlay }: State,
): { operations: Operation[]; lifetime: 'boot' | 'document' } {
  const path = formatPointer(['containers', key]);
  const lifetime = overlay.some(({ pointer }) => pointer === path) ? 'boot' : 'document';
  return { operations: [{ op: 'remove', path }], lifetime };
}
