// What a view says of a trial, and of the images that its name shares with others: of a state, without memory.
import type { ContainerEntry } from '../../state/desired.ts';
import type { Observed, ObservedMount } from '../../state/observed.ts';
import type { State } from '../../state/store.ts';
import type { DataTrial, Target } from '../controller.ts';
import { isUnderWay } from '../../state/trial/trial-record.ts';
import { containerName, splitContainerId } from '../../state/container-id.ts';

const outcomes = { staged: 'open', active: 'open', reverting: 'open', confirmed: 'forth', reverted: 'back' } as const;

/** Of names whose images nobody else uses, and who use none, as nearly all: a view is made several times for each at a start. */
const nobody: ReadonlyMap<string, readonly string[]> = new Map();
const noMounts: ReadonlyMap<string, ObservedMount> = new Map();

/** Whether a document is on trial: nothing is taken by itself then. */
export function isHolding({ trial }: State): boolean {
  return isUnderWay(trial?.record ?? null);
}

/** Seldom, and it may concern every name: what is staged, whether packages may be deleted, which are passed over. */
export function touchesTrial(top: string | undefined, before: State, state: State): boolean {
  if (top === 'forced') return true;
  if (top === 'trial') {
    const reverts = (of: State): boolean => of.trial?.record.state === 'reverting';
    return isHolding(before) !== isHolding(state) || reverts(before) !== reverts(state);
  }
  return top === 'staged' || top === 'quarantine';
}

/** A way back is not held up, nor what somebody has forced. */
export function passesLocks(state: State, own: readonly Target[]): boolean {
  if (state.trial?.record.state === 'reverting') return true;
  return state.forced >= 0 && own.some(({ entry }) => entry.generation <= state.forced);
}

/** What a trial means for the data of a name; `entries` are its entries. */
export function dataTrial(
  { record, before }: NonNullable<State['trial']>,
  name: string,
  entries: readonly ContainerEntry[],
): DataTrial {
  // As long as nothing of a trial has been in force, what is in force is the confirmed one.
  const outcome = record.state === 'staged' && record.before === null ? 'back' : outcomes[record.state];
  const found = before.get(name);
  const asks = found?.snapshot === true || entries.some(({ persist }) => persist.snapshot);
  // Also while it goes back: what is on trial is wanted until the confirmed document is in force.
  const isOpen = outcome === 'open' && record.terms.confirm !== 'none';
  return { confirmed: record.confirmed, outcome, version: isOpen && asks ? (found?.version ?? null) : null };
}

/** Of each version of a name who of those `around` it says its image; `of` gives the images that one of them says. */
export function byVersion(
  name: string,
  around: readonly string[],
  of: (user: string) => readonly string[],
): ReadonlyMap<string, readonly string[]> {
  if (around.length === 0) return nobody;
  const found = new Map<string, string[]>();
  for (const user of around) {
    for (const id of of(user)) {
      const { name: used, version } = splitContainerId(id);
      if (used !== name || version === null || user === name) continue;
      found.set(version, [...(found.get(version) ?? []), user]);
    }
  }
  return found;
}

/** The mounts of the images that the targets of a name, or its attempts, have as resources, by image. */
export function resourceMounts(
  observed: Observed,
  name: string,
  own: readonly Target[],
): ReadonlyMap<string, ObservedMount> {
  const wanted = own.flatMap(({ resources }) => resources.flatMap(({ id }) => id ?? []));
  const used = (observed.attempts.get(name) ?? []).flatMap(({ record }) => record.uses);
  if (wanted.length === 0 && used.length === 0) return noMounts;
  const found = new Map<string, ObservedMount>();
  for (const id of [...wanted, ...used]) {
    const mount = observed.mounts.get(containerName(id))?.find((each) => each.id === id);
    if (mount !== undefined) found.set(id, mount);
  }
  return found;
}
