// Locks in files: an entry's `lock.file` holds what runs from being replaced while it is there, for `lock.max` from the last change
// of it. The kernel's own time of that counts (st_ctime), which no application can set.
import { lstat } from 'node:fs/promises';
import type { Operation } from 'fast-json-patch';
import type { ContainerEntry } from '../../state/desired.ts';
import { isMissing } from '../../state/errno.ts';
import type { ObservedAttempt } from '../../state/observed.ts';
import type { Store } from '../../state/store.ts';
import { parsePointer } from '../../state/text/pointer.ts';
import { createBlindness } from '../../state/file/blindness.ts';
import { watchFile, type FileWatch } from '../../state/file/file-watch.ts';
import { keepLock, type LockPorts } from './attempt-lock.ts';

export interface LockFiles {
  close(): void;
}

export interface LockFilesPorts extends LockPorts {
  readonly store: Pick<Store, 'get' | 'subscribe'>;
  /** CLOCK_BOOTTIME in ms. */
  readonly now: () => number;
  /** ms since the epoch. */
  readonly wallClock: () => number;
  /** The kernel does not tell of a path, and why; null: it does again. */
  readonly blind: (path: string, why: string | null) => void;
  readonly failed: (error: unknown) => void;
}

interface Followed {
  readonly file: string;
  readonly watch: Promise<FileWatch>;
}

/** Follows the files of entries that run, from now on until `close`. */
export function followLockFiles(ports: LockFilesPorts): LockFiles {
  const { store, failed } = ports;
  const followed = new Map<string, Followed>();

  function review(name: string): void {
    const found = runningWithFile(store, name);
    const known = followed.get(name);
    if (known !== undefined && known.file !== found?.file) forget(name);
    if (found === null) return;
    if (followed.has(name)) {
      // Another run, or another time to live: what the file says counts for it.
      look(name);
      return;
    }
    const blind = createBlindness((why) => ports.blind(found.file, why));
    const watch = watchFile(found.file, { changed: () => look(name), blind, failed });
    followed.set(name, { file: found.file, watch });
    watch.then(() => look(name), failed);
  }

  function look(name: string): void {
    const found = runningWithFile(store, name);
    if (found === null) return;
    untilOf(found, ports)
      .then(async (until) => {
        const now = runningWithFile(store, name);
        if (now === null || now.attempt.id !== found.attempt.id) return;
        // The wall clock is read to the millisecond: the same file gives about the same end.
        const known = now.attempt.record.locks?.file ?? 0;
        const clock = ports.now();
        const isHeld = known > clock;
        if (until > clock ? Math.abs(known - until) > 1000 : isHeld)
          await keepLock(now.attempt, 'file', Math.max(until, clock), { now: clock, max: now.max }, ports);
      })
      .catch(failed);
  }

  function forget(name: string): void {
    followed
      .get(name)
      ?.watch.then((each) => each.close())
      .catch(failed);
    followed.delete(name);
  }

  function changed(operations: readonly Operation[]): void {
    const names = new Set<string>();
    for (const { path } of operations) {
      const [top, part, key] = parsePointer(path);
      const isRun = top === 'observed' && part === 'attempts';
      const isEntry = top === 'desired' && (part === 'containers' || part === undefined);
      if (!isRun && !isEntry) continue;
      for (const name of key === undefined ? all() : [key.split(':', 1)[0] ?? key]) names.add(name);
    }
    for (const name of names) review(name);
  }

  function all(): Set<string> {
    const entries = [...store.get().desired.containers.values()].filter(hasFile);
    return new Set([...entries.map(({ name }) => name), ...followed.keys()]);
  }

  const end = store.subscribe(changed);
  for (const name of all()) review(name);
  return {
    close() {
      end();
      for (const name of followed.keys()) forget(name);
    },
  };
}

interface RunningWithFile {
  readonly file: string;
  readonly max: number;
  readonly attempt: ObservedAttempt;
}

function runningWithFile({ get }: Pick<Store, 'get'>, name: string): RunningWithFile | null {
  const { desired, observed } = get();
  const attempt = observed.attempts.get(name)?.findLast(({ state }) => state === 'running');
  if (attempt === undefined) return null;
  const found = [desired.containers.get(`${name}:${attempt.version}`), desired.containers.get(name)].find(hasFile);
  return found === undefined ? null : { file: found.lock.file, max: found.lock.max, attempt };
}

function hasFile(
  entry: ContainerEntry | undefined,
): entry is ContainerEntry & { readonly lock: { readonly file: string; readonly max: number } } {
  return typeof entry?.lock?.file === 'string';
}

/** Until when the file holds it (CLOCK_BOOTTIME in ms), 0 = it does not. One from the future does not: the clock was set since. */
async function untilOf(
  { file, max }: RunningWithFile,
  { now, wallClock }: Pick<LockFilesPorts, 'now' | 'wallClock'>,
): Promise<number> {
  const stats = await lstat(file).catch((error: unknown) => {
    if (isMissing(error)) return null;
    throw error;
  });
  if (stats === null) return 0;
  const age = wallClock() - stats.ctimeMs;
  return age < -1000 || age >= max ? 0 : Math.round(now() + max - Math.max(0, age));
}
