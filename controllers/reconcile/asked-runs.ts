// What the entries of a name ask for at this moment: the document's word, and over it which run its schedule has come to, and
// what somebody has asked for once. Pure.
import type { ContainerEntry } from '../../state/desired.ts';
import { isOf } from '../../state/ended-run.ts';
import type { ObservedAttempt, ObservedPackage } from '../../state/observed.ts';
import type { ScheduleRecord } from '../../state/schedule.ts';
import type { Order } from '../../state/store.ts';
import { impliedEntry } from './resolve.ts';

export interface Asked {
  readonly entries: readonly ContainerEntry[];
  readonly attempts: readonly ObservedAttempt[];
  readonly packages: readonly ObservedPackage[];
  readonly schedule: ScheduleRecord | null;
  readonly order: Order | null;
}

/** The entries with the run that each is to have now; of a name without any, one for whoever has ordered a run of it. */
export function askedOf({ entries, attempts, packages, schedule, order }: Asked): readonly ContainerEntry[] {
  const scheduled = entries.map((entry) =>
    entry.schedule === null || entry.state !== 'running' ? entry : { ...entry, run: runOf(entry, attempts, schedule) },
  );
  if (order === null) return scheduled;
  const base = baseOf(scheduled, order) ?? installed(packages, order);
  if (base === null) return scheduled;
  const others = scheduled.filter(({ key }) => key !== base.key);
  return [...others, once(base, order)];
}

/** One run goes on until its end, whatever is due meanwhile. */
function runOf(
  entry: ContainerEntry,
  attempts: readonly ObservedAttempt[],
  schedule: ScheduleRecord | null,
): NonNullable<ContainerEntry['run']> {
  const going = attempts.findLast((attempt) => isOf(entry, attempt) && isGoing(attempt));
  const owed = schedule?.owed ?? null;
  const id = going?.record.run ?? owed ?? schedule?.serial ?? 0;
  return { id, init: null, args: null, env: null, by: 'schedule', due: going === undefined && owed !== null };
}

/** Whether an attempt runs, or may begin at any time. */
export function isGoing({ state, going }: ObservedAttempt): boolean {
  return state === 'running' || (going && (state === 'prepared' || state === 'preparing'));
}

/** The entry that an order is for: the one that is to run, of which there is one at most, else the one that it names. */
function baseOf(entries: readonly ContainerEntry[], { key }: Order): ContainerEntry | null {
  const present = entries.filter(({ state }) => state !== 'absent');
  return (
    present.find(({ state }) => state === 'running') ?? present.find((entry) => entry.key === key) ?? present[0] ?? null
  );
}

function installed(packages: readonly ObservedPackage[], { key }: Order): ContainerEntry | null {
  const found = packages.find(({ id }) => id === key) ?? packages[0];
  return found === undefined ? null : impliedEntry(found.name, found.version, found.repository, 'running');
}

/** That entry, for one run that nothing answers. */
function once(base: ContainerEntry, { id, args, timeout }: Order): ContainerEntry {
  return {
    ...base,
    state: 'running',
    run: { id, init: null, args: args.length === 0 ? null : args, env: null, by: 'once' },
    restart: { ...base.restart, policy: 'never' },
    schedule: null,
    paused: false,
    timeout: timeout ?? base.timeout,
  };
}
