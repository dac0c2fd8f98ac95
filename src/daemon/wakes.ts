// Of what the reconciler has slept and been woken: counted by day, told in the status, and a bound on how often.
import { bootTime } from '../../native/clock.ts';
import type { Hello } from '../../native/wire/launcher-interface.ts';
import { mountTableKey } from '../../controllers/mounts/mounts-watch.ts';
import { ueventsKey } from '../../controllers/repositories/repositories-watch.ts';
import { firstGroupKey } from '../../controllers/cgroups/cgroups-watch.ts';
import type { SleepStatus } from '../../state/status.ts';
import type { Store } from '../../state/store.ts';
import { firstListenerKey } from './client-connections.ts';
import { firstConnectionKey } from './kept-connections.ts';
import type { KeptValue } from './kept-value.ts';
import { firstBell, listenerBell } from './sleep.ts';
import { clockKey } from './wall-clock.ts';

export interface Wakes {
  /** UTC, as 2026-01-31. */
  readonly day: string;
  readonly count: number;
  readonly reasons: Readonly<Record<string, number>>;
  /** When the latest were, CLOCK_BOOTTIME in ms: those of the last minute, the last of all. */
  readonly recent: readonly number[];
  readonly last: SleepStatus['last'];
}

/** Wakes a minute that cost nothing beside the rest of the work; each beyond doubles the rest that is asked for. */
const cheap = 20;
const window = 60_000;
const longestRest = 600_000;

/**
 * Counts the wake that this process is, if it is one, and tells of it in the status. Gives the rest (ms) after which it may
 * sleep again; null: never.
 */
export function recordWake(options: {
  readonly value: KeptValue<Wakes>;
  readonly hello: Hello;
  readonly store: Store;
  readonly after: number | null;
}): number | null {
  const { value, hello, store, after } = options;
  const day = new Date().toISOString().slice(0, 10);
  const before = value.get() ?? { day, count: 0, reasons: {}, recent: [], last: null };
  const today = before.day === day ? before : { ...before, day, count: 0, reasons: {} };
  const wakes = hello.slept === null ? today : woken(today, hello.slept);
  value.set(wakes);
  const { count, reasons, recent, last } = wakes;
  store.update((draft) => {
    draft.status.sleep = { after, last, today: count, reasons: { ...reasons } };
  });
  const surplus = Math.max(0, recent.length - cheap);
  if (after === null || surplus === 0) return after;
  return Math.max(after, Math.min(longestRest, 1000 * 2 ** surplus));
}

function woken(before: Wakes, slept: NonNullable<Hello['slept']>): Wakes {
  const now = bootTime();
  const reason = reasonOf(slept);
  const clock = (at: number): string => new Date(Date.now() - now + at).toISOString();
  return {
    ...before,
    count: before.count + 1,
    reasons: { ...before.reasons, [reason]: (before.reasons[reason] ?? 0) + 1 },
    recent: [...before.recent.filter((at) => at > now - window), now],
    last: { since: clock(slept.since), until: clock(now), reason },
  };
}

/** One word for what rang. */
function reasonOf({ rang, key }: NonNullable<Hello['slept']>): string {
  if (rang === 'attempt') return 'exit';
  if (rang !== 'watch') return rang;
  if (key >= listenerBell) return 'connection';
  if (key >= firstBell) return 'file';
  if (key >= firstListenerKey) return 'connection';
  if (key >= firstConnectionKey) return 'console';
  if (key >= firstGroupKey) return 'group';
  if (key === mountTableKey) return 'mount';
  if (key === clockKey) return 'clock';
  return key === ueventsKey ? 'device' : 'watch';
}
