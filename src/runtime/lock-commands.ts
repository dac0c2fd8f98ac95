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
  const most = Math.min(ttl, entry.lock.max);
  await keepLock(attempt, 'console', Math.round(ports.now() + most), ports.locks);
  ports.events.tell({ type: 'locked', container: `${name}:${attempt.version}`, by });
  return most;
}

/** Gives back the lock of the console; of a file only who has made it can. */
export async function unlockRun(name: string, by: string, ports: LockCommandPorts): Promise<void> {
  const attempt = runningOf(name, ports);
  if (lockedUntil(attempt) <= ports.now()) return;
  await keepLock(attempt, 'console', 0, ports.locks);
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
