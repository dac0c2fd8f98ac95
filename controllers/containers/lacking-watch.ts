// A start that had to do without something of the host, and has failed or ended: when what was missing appears (a bind's path, a
// group), it is judged anew at once. Until then it is tried again as its entry says.
import { existsSync } from 'node:fs';
import type { Operation } from 'fast-json-patch';
import { newestDone } from '../../state/ended-run.ts';
import type { ObservedAttempt } from '../../state/observed.ts';
import type { Store } from '../../state/store.ts';
import { parsePointer } from '../../state/text/pointer.ts';
import { awaitPath, type AwaitedPath, type AwaitedPorts } from '../awaited-path.ts';
import { groupFile, groupNumbers } from '../host-groups.ts';

export interface LackingWatch {
  /** Mounts have changed: a path may lead to something now, and no directory tells of that. */
  look(): void;
  close(): void;
}

export interface LackingWatchPorts extends Pick<AwaitedPorts, 'blind' | 'failed'> {
  readonly store: Pick<Store, 'get' | 'subscribe'>;
  /** Takes an attempt into the observed state. */
  readonly observe: (attempt: ObservedAttempt) => void;
}

/** Follows the attempts from now on until `close`. */
export function followLacking({ store, observe, ...told }: LackingWatchPorts): LackingWatch {
  /** By name, for the attempt that has missed it. */
  const missed = new Map<string, { readonly id: number; readonly awaited: readonly AwaitedPath[] }>();

  function review(name: string): void {
    const last = lackingOf(store, name);
    const known = missed.get(name);
    if (known?.id === last?.id) return;
    forget(name);
    if (last === null) return;
    const there = (): void => {
      forget(name);
      if (lackingOf(store, name)?.id !== last.id) return;
      // The next start would be made from something else than this one was.
      observe({ ...last, record: { ...last.record, entry: '' } });
    };
    const awaited = missingOf(store, last).map(([path, isThere]) => awaitPath(path, { isThere, there, ...told }));
    missed.set(name, { id: last.id, awaited });
  }

  function forget(name: string): void {
    for (const each of missed.get(name)?.awaited ?? []) each.close();
    missed.delete(name);
  }

  function changed(operations: readonly Operation[]): void {
    for (const { path } of operations) {
      const [top, part, name] = parsePointer(path);
      if (top !== 'observed' || part !== 'attempts') continue;
      for (const each of name === undefined ? namesNow() : [name]) review(each);
    }
  }

  function namesNow(): Set<string> {
    return new Set([...store.get().observed.attempts.keys(), ...missed.keys()]);
  }

  const end = store.subscribe(changed);
  for (const name of namesNow()) review(name);
  return {
    look() {
      for (const { awaited } of missed.values()) for (const each of awaited) each.look();
    },
    close() {
      end();
      for (const name of missed.keys()) forget(name);
    },
  };
}

/** The newest end of a name of which nothing lives, where it had to do without something. */
function lackingOf(store: LackingWatchPorts['store'], name: string): ObservedAttempt | null {
  const attempts = store.get().observed.attempts.get(name) ?? [];
  const last = newestDone(attempts, null);
  const lives = attempts.some(({ state }) => state !== 'exited' && state !== 'failed');
  return last === null || lives || last.record.lacks.length === 0 || last.record.entry === '' ? null : last;
}

/** What of the host it misses still, each with its path and how to see that it is there. */
function missingOf(
  store: LackingWatchPorts['store'],
  { name, version }: ObservedAttempt,
): (readonly [path: string, isThere: () => boolean])[] {
  const manifest = store
    .get()
    .observed.packages.get(name)
    ?.find((found) => found.version === version)?.manifest;
  const binds = [...(manifest?.mounts?.values() ?? [])].flatMap((mount) => (mount.type === 'bind' ? mount.host : []));
  const paths = binds.filter((path) => !existsSync(path)).map((path) => [path, () => existsSync(path)] as const);
  const groups = manifest?.suppl_groups ?? [];
  const unknown = unknownOf(groups);
  return unknown === 0 ? paths : [...paths, [groupFile, () => unknownOf(groups) < unknown]];
}

/** A file of groups that cannot be read knows none. */
function unknownOf(groups: readonly string[]): number {
  try {
    return groupNumbers(groups).unknown.length;
  } catch {
    return groups.length;
  }
}
