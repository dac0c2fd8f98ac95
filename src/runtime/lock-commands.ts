// lock and unlock: what runs of a name is not replaced until then.
import type { Tell } from '../../controllers/events.ts';
import { keepLock, type LockPorts } from '../../controllers/containers/attempt-lock.ts';
import { lockedUntil } from '../../state/locked-until.ts';
import type { ObservedAttempt } from '../../state/observed.ts';
import type { Store } from '../../state/store.ts';
import { RuntimeError } from './runtime.ts';

export interface LockCommandPorts {
  readonly store: Pick<Store, 'get'>;
  readonly locks: LockPorts;
  readonly events: { readonly tell: Tell };
  /** CLOCK_BOOTTIME in ms. */
  readonly now: () => number;
}

/** Locks for `ttl` ms, or as long as the entry allows; gives for how long. Throws RuntimeError. */
export async function lockRun(name: string, ttl: number, by: string, ports: LockCommandPorts): Promise<number> {
  const attempt = runningOf(name, ports);
  const { containers } = ports.store.get().desired;
  const entry = containers.get(`${name}:${attempt.version}`) ?? containers.get(name);
  if (entry === undefined || entry.lock === null)
    throw new RuntimeError('not_lockable', `the entry of ${name} has no lock: { max }`, { name });
  const now = Math.round(ports.now());
  const { max } = entry.lock;
  const until = await keepLock(attempt, 'console', now + Math.min(ttl, max), { now, max }, ports.locks);
  if (until <= now) {
    const message = `${name} has been locked for ${max / 1000} s, which is all that its entry lets it; what waits goes first`;
    throw new RuntimeError('not_lockable', message, { name });
  }
  ports.events.tell({ type: 'locked', container: `${name}:${attempt.version}`, by });
  return until - now;
}

/** Gives back the lock of the console; of a file only who has made it can. */
export async function unlockRun(name: string, by: string, ports: LockCommandPorts): Promise<void> {
  const attempt = runningOf(name, ports);
  const now = Math.round(ports.now());
  if (lockedUntil(attempt) <= now) return;
  await keepLock(attempt, 'console', now, { now, max: 0 }, ports.locks);
  ports.events.tell({ type: 'unlocked', container: `${name}:${attempt.version}`, by });
}

function runningOf(name: string, { store }: LockCommandPorts): ObservedAttempt {
  const found = store
    .get()
    .observed.attempts.get(name)
    ?.findLast(({ state }) => state === 'running');
  if (found === undefined) throw new RuntimeError('not_running', `${name} is not running`, { name });
  return found;
}
