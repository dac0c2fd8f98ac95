// The `absent` of an uninstallation: once the package is deleted it asks for nothing any more, and its entry goes, whoever
// wrote that. An `absent` that stands in the document, or came with a patch, is a person's and stays. Pure.
import type { Operation } from 'fast-json-patch';
import type { ContainerEntry } from '../desired.ts';
import { copiesOf } from '../observed.ts';
import type { State } from '../store.ts';
import { resolvedVersion } from './command-patches.ts';
import { formatPointer, parsePointer } from '../text/pointer.ts';

const order = 'uninstall ';

/** The keys of entries that changes with an order, as a person would write it, have made absent for an uninstallation. */
export function uninstalledBy(changes: Iterable<{ readonly pointer: string; readonly command: string }>): Set<string> {
  const keys = new Set<string>();
  for (const { pointer, command } of changes) {
    const [section, key] = parsePointer(pointer);
    if (section === 'containers' && key !== undefined && command.startsWith(order)) keys.add(key);
  }
  return keys;
}

/** Whether an uninstallation is done: what its entry means is not installed, as far as every repository can be read. */
export function isSpent(entry: ContainerEntry, state: State): boolean {
  const { observed, unknown } = state;
  if (unknown !== null || [...observed.repositories.values()].some(({ error }) => error !== null)) return false;
  const meant = resolvedVersion(entry, state);
  const installed = (observed.packages.get(entry.name) ?? []).flatMap(copiesOf);
  const left = installed.filter(({ repository }) => entry.repository === null || entry.repository === repository);
  return entry.uninstalling && left.every(({ version }) => version !== meant);
}

/** Takes a spent entry away: from the overlay alone where only that has it, for the boot where its `absent` lasts no longer. */
export function spend(
  { key }: ContainerEntry,
  { overlay }: State,
): { operations: Operation[]; lifetime: 'boot' | 'document' } {
  const path = formatPointer(['containers', key]);
  const passes = [path, formatPointer(['containers', key, 'state'])];
  const lifetime = overlay.some(({ pointer }) => passes.includes(pointer)) ? 'boot' : 'document';
  return { operations: [{ op: 'remove', path }], lifetime };
}
