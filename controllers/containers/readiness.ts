// When what runs is ready, and when a run has failed though it goes on. Pure.
import { hash } from 'node:crypto';
import type { ContainerEntry } from '../../state/desired.ts';
import type { Health } from '../../state/health.ts';
import type { Fault, Observed, ObservedAttempt } from '../../state/observed.ts';
import type { Target, View } from '../controller.ts';

/** How a target is asked: as its entry says, else as its package does; null: not at all. */
export function healthOf({ entry, package: found }: Pick<Target, 'entry' | 'package'>): Health | null {
  return entry.health ?? found?.health ?? null;
}

/** Whether the application of a target has a socket to say how it is. */
export function notifies(health: Health | null): health is Health {
  return health !== null && (health.ready === 'notify' || health.watchdog !== null);
}

const revisions = new WeakMap<Health, number>();

/** What the launcher is told is asked for, as a number of 32 bits: 0 = nothing. What is paused is not asked. */
export function revisionOf(target: Target): number {
  const health = healthOf(target);
  if (health === null) return 0;
  if (target.entry.paused) return 1;
  const known =
    revisions.get(health) ?? Math.max(2, Number.parseInt(hash('sha256', JSON.stringify(health)).slice(0, 8), 16));
  revisions.set(health, known);
  return known;
}

/** A run is ready at this time (CLOCK_BOOTTIME in ms), which may be yet to come; null: it has to be found so first. */
export function readyAt(
  { startedAt, health }: ObservedAttempt,
  target: Pick<Target, 'entry' | 'package'>,
): number | null {
  const asked = healthOf(target)?.ready ?? null;
  return asked === null ? startedAt + target.entry.settle : health.readyAt;
}

/** What is paused is not asked whether it is ready: one that was not found so before waits for whoever resumes it. */
export function isHeldUnready({ attempts, packages }: Observed, entry: ContainerEntry): boolean {
  const run = attempts.get(entry.name)?.find(({ state }) => state === 'running');
  if (!entry.paused || run === undefined) return false;
  const found = packages.get(entry.name)?.find(({ version }) => version === run.version) ?? null;
  return readyAt(run, { entry, package: found }) === null;
}

/** When a run has lasted for as long as it may (CLOCK_BOOTTIME in ms); null: there is no such time. */
export function timedOutAt({ startedAt }: ObservedAttempt, { entry }: Pick<Target, 'entry'>): number | null {
  return entry.timeout === null ? null : startedAt + entry.timeout;
}

/** Why a run is to be ended, or is being ended, for what it does or does not; null: it may go on. */
export function faultOf({ now }: View, target: Target, attempt: ObservedAttempt): Fault | null {
  const { stop } = attempt.record;
  if (stop !== null) return stop.fault ?? null;
  const { verdict } = attempt.health;
  if (verdict !== null && healthOf(target) !== null) return verdict;
  const end = timedOutAt(attempt, target);
  return end !== null && now >= end ? 'TimedOut' : null;
}

const texts = {
  TimedOut: 'has run for longer than its timeout and was ended',
  NotReady: 'was not ready in time and was ended',
  Unhealthy: 'did not answer as it should and was ended',
  WatchdogExpired: 'gave no sign of life in time and was ended',
} as const satisfies Record<Fault, string>;

/** What a person is told of it; `why`: what the last probe has found. */
export function faultText(fault: Fault, why = ''): string {
  return why === '' ? texts[fault] : `${texts[fault]} (${why})`;
}

/** The next time at which it is ready or has lasted too long, null when there is none to come. */
export function nextOf(attempt: ObservedAttempt, target: Target, now: number): number | null {
  if (attempt.record.stop !== null) return null;
  const times = [readyAt(attempt, target), timedOutAt(attempt, target)].filter((at) => at !== null && at > now);
  return times.length === 0 ? null : Math.min(...times.map((at) => at ?? Infinity));
}
