// When a container is started again and again, and what is remembered of that. Times are in ms. Pure.
import { hash } from 'node:crypto';
import type { Exit } from './signals.ts';

/** How the times of a schedule are taken. */
export interface Manner {
  /** A start comes up to so much later than it is due, by chance. */
  readonly jitter: number;
  /** What becomes of a start whose time has passed: it is made up for, once, or left out. */
  readonly missed: 'run' | 'skip';
}

/** `every` counts on the boot clock, `cron` is read off the wall clock in `zone` (an IANA name). */
export type Schedule =
  | (Manner & { readonly kind: 'every'; readonly every: number })
  | (Manner & { readonly kind: 'cron'; readonly cron: string; readonly zone: string });

/** What outlives kills, sleeps and boots of a schedule. */
export interface ScheduleRecord {
  /** specOf() the schedule that it was made for. */
  readonly spec: string;
  /** The boot (boot_id) in which times of `every` count. */
  readonly boot: string;
  /**
   * What is due next, and when it starts: CLOCK_BOOTTIME of `boot` for `every`, ms since 1970 for `cron`; null = nothing is any
   * more.
   */
  readonly next: { readonly due: number; readonly at: number } | null;
  /** The wall clock when this was written, ms since 1970; null = it had not been set. */
  readonly wall: number | null;
  /** CLOCK_BOOTTIME when this was written. */
  readonly now: number;
  /** The number of the run that is to start and has not, null = none is. */
  readonly owed: number | null;
  /** The number of the newest run that was due. */
  readonly serial: number;
  /** The last run that has begun: its number, when that was (ms since 1970, null = nobody knew), how it ended (null = not yet). */
  readonly last: { readonly run: number; readonly at: number | null; readonly exit: Exit | null } | null;
}

/** What decides about a schedule at one instant. */
export interface ScheduleFacts {
  /** CLOCK_BOOTTIME. */
  readonly now: number;
  readonly boot: string;
  /** ms since 1970; null = the wall clock has not been set yet. */
  readonly wall: number | null;
  /** A run of it goes on, or is about to. */
  readonly runs: boolean;
  /** The run that is owed has begun, or has failed to. */
  readonly begun: boolean;
  /** How the last run has ended, as far as it is remembered. */
  readonly ended: Exit | null;
  /** The highest number that a run of this name has had in this boot. */
  readonly highest: number;
}

/** What there is to do about a record: it is made, it counts in another boot, the wall clock went back, a start is due, it has begun, it has ended. */
export type ScheduleChange = 'begin' | 'reboot' | 'back' | 'due' | 'begun' | 'ended';

/**
 * Nothing that runs this is older: a wall clock before it has not been set. Whether somebody disciplines it (STA_UNSYNC of
 * adjtimex(2)) says nothing of a device that has a clock of its own and no network.
 */
const earliest = Date.UTC(2025, 0, 1);

/** A start that comes later than this was missed. */
export const lateness = 60_000;

/** A clock that goes back by less repeats nothing; by more it is taken for a correction, and the new time counts (cron(8)). */
export const correction = 3 * 3_600_000;

/** The wall clock at a time of CLOCK_BOOTTIME, `distance` being what it says more; null = it has not been set. */
export function wallTime(boot: number, distance: number): number | null {
  const wall = boot + distance;
  return wall >= earliest ? wall : null;
}

const specs = new WeakMap<Schedule, string>();

/** Of what a record is made from: the kind, and a digest of the rest. */
export function specOf(schedule: Schedule): string {
  const known = specs.get(schedule) ?? `${schedule.kind} ${hash('sha256', JSON.stringify(schedule)).slice(0, 32)}`;
  specs.set(schedule, known);
  return known;
}

/** What there is to do now; null: nothing. */
export function changeOf(
  record: ScheduleRecord | null,
  schedule: Schedule,
  facts: ScheduleFacts,
): ScheduleChange | null {
  const { now, wall, boot } = facts;
  const isWall = schedule.kind === 'cron';
  if (record !== null && record.owed !== null && facts.begun) return 'begun';
  if (record?.last?.exit === null && facts.ended !== null) return 'ended';
  // Nobody knows yet what time it is.
  if (isWall && wall === null) return null;
  if (record === null || record.spec !== specOf(schedule)) return 'begin';
  if (!isWall && record.boot !== boot) return 'reboot';
  if (isWall && record.wall !== null && (wall ?? 0) < record.wall - correction) return 'back';
  const { next } = record;
  return next !== null && (isWall ? (wall ?? 0) : now) >= next.at ? 'due' : null;
}

/** When time alone changes something next (CLOCK_BOOTTIME); null: it does not. */
export function wakeAt({ next }: ScheduleRecord, { kind }: Schedule, { now, wall }: ScheduleFacts): number | null {
  if (next === null) return null;
  if (kind === 'every') return next.at;
  return wall === null ? null : now + (next.at - wall);
}

export interface SchedulePorts {
  /** Between 0 and 1. */
  random(): number;
  /** The first time after `after` at which a cron schedule is due, ms since 1970; null = there is none. */
  nextCron(schedule: Extract<Schedule, { kind: 'cron' }>, after: number): number | null;
}

/** The record after what there is to do now; as it is when there is nothing. */
export function changed(
  record: ScheduleRecord | null,
  schedule: Schedule,
  facts: ScheduleFacts,
  ports: SchedulePorts,
): ScheduleRecord | null {
  const { now, wall, boot } = facts;
  const base = { spec: specOf(schedule), boot, wall, now };
  const at = (due: number | null): ScheduleRecord['next'] =>
    due === null ? null : { due, at: due + ports.random() * schedule.jitter };
  const after = (time: number): number | null =>
    schedule.kind === 'every' ? time + schedule.every : ports.nextCron(schedule, time);
  const clock = schedule.kind === 'every' ? now : (wall ?? 0);
  const change = changeOf(record, schedule, facts);
  if (change === null) return record;
  if (record === null || change === 'begin') {
    const { serial = 0, owed = null, last = null } = record ?? {};
    const next = schedule.kind === 'every' ? firstOf(record, schedule, facts) : after(clock);
    return { ...base, next: at(next), serial: Math.max(serial, facts.highest), owed, last };
  }
  switch (change) {
    case 'begun':
      return { ...record, owed: null, last: { run: record.owed ?? record.serial, at: wall, exit: null } };
    case 'ended':
      return { ...record, last: record.last === null ? null : { ...record.last, exit: facts.ended } };
    case 'reboot':
      return { ...record, ...base, next: inThisBoot(record, schedule, facts) };
    case 'back':
      return { ...record, ...base, next: at(after(clock)) };
    case 'due': {
      const { due = clock, at: start = clock } = record.next ?? {};
      const isLate = clock - start > lateness;
      const isLeftOut = schedule.missed === 'skip' && (isLate || facts.runs || record.owed !== null);
      // One that is owed and cannot start is tried anew; it stays one.
      const isNew = !isLeftOut && (record.owed === null || !facts.runs);
      const serial = isNew ? record.serial + 1 : record.serial;
      return { ...record, ...base, serial, owed: isNew ? serial : record.owed, next: at(following(due, clock)) };
    }
  }

  /** Of all the times that have passed one start is made up for: the next is yet to come. */
  function following(due: number, time: number): number | null {
    if (schedule.kind === 'every') return due + schedule.every * Math.max(1, Math.ceil((time - due) / schedule.every));
    const next = after(due);
    return next !== null && next <= time ? after(time) : next;
  }
}

/** At once; where the schedule was another one, when that would have come, and no later than the new one allows. */
function firstOf(
  record: ScheduleRecord | null,
  schedule: Extract<Schedule, { kind: 'every' }>,
  facts: ScheduleFacts,
): number {
  const { now, boot } = facts;
  if (record === null || !record.spec.startsWith('every ')) return now;
  const next = record.boot === boot ? record.next : inThisBoot(record, schedule, facts);
  return Math.max(now, Math.min(next?.due ?? now, now + schedule.every));
}

/** The boot clock has begun anew: with the wall clock's help the distance is kept, without it what may be due is. */
function inThisBoot(record: ScheduleRecord, schedule: Schedule, { now, wall }: ScheduleFacts): ScheduleRecord['next'] {
  const every = schedule.kind === 'every' ? schedule.every : 0;
  const { due, at } = record.next ?? { due: record.now, at: record.now };
  const unknown = schedule.missed === 'run' ? now : now + every;
  const passed = wall === null || record.wall === null ? null : wall - record.wall;
  // A clock that went back tells nothing.
  const next = passed === null || passed < 0 ? unknown : Math.min(now + (due - record.now) - passed, now + every);
  return { due: next, at: next + (at - due) };
}
