// What a document that is staged asks for, its requirements resolved as they would be if it were in force. Pure.
import type { ContainerEntry, Desired } from '../../state/desired.ts';
import { sameSource } from '../../state/document/lock.ts';
import type { ObservedPackage } from '../../state/observed.ts';
import type { State } from '../../state/store.ts';
import { isQuarantined } from '../../state/trial/quarantine.ts';
import type { Target } from '../controller.ts';
import { resolve, staying } from './resolve.ts';

const byName = new WeakMap<Desired, ReadonlyMap<string, readonly ContainerEntry[]>>();

/** Entries of a document by the name of their container. */
function entriesOf(desired: Desired): ReadonlyMap<string, readonly ContainerEntry[]> {
  const known = byName.get(desired) ?? Map.groupBy(desired.containers.values(), ({ name }) => name);
  byName.set(desired, known);
  return known;
}

/** Names that a staged document mentions. */
export function stagedNames({ staged }: Pick<State, 'staged'>): readonly string[] {
  return staged === null ? [] : [...entriesOf(staged).keys()];
}

/** The staged targets of one name; [] when nothing is staged. */
export function stagedTargets(state: State, name: string): readonly Target[] {
  const { staged, observed, desired, lock, quarantine } = state;
  const entries = staged === null ? [] : (entriesOf(staged).get(name) ?? []);
  if (staged === null || entries.length === 0) return [];
  const kept = new Map(
    [...lock].filter(([key]) => sameSource(desired.containers.get(key), staged.containers.get(key))),
  );
  const packagesOf = (other: string): readonly ObservedPackage[] =>
    staying(observed.packages.get(other) ?? [], entriesOf(staged).get(other) ?? [], kept);
  return resolve({
    name,
    entries,
    packages: observed.packages.get(name) ?? [],
    attempts: [],
    lock: kept,
    repositories: new Set(staged.repositories.keys()),
    mountOnStart: new Set(),
    autostart: 'none',
    passedOver: (found) => quarantine.length > 0 && isQuarantined(quarantine, found),
    holding: false,
    packagesOf,
  }).targets;
}
