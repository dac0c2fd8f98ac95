// Takes what the controllers see into the store, name by name: what did not change makes no patch, and so no work.
import { isDeepStrictEqual } from 'node:util';
import type { Draft } from 'immer';
import type {
  ObservedAttempt,
  ObservedCgroup,
  ObservedMount,
  ObservedPackage,
  ObservedRepository,
} from '../state/observed.ts';
import type { State, Store } from '../state/store.ts';
import { containerName } from '../state/container-id.ts';

/** What the repositories show. */
export interface ObservedPackages {
  readonly repositories: ReadonlyMap<string, ObservedRepository>;
  /** By container name, highest version first. */
  readonly packages: ReadonlyMap<string, readonly ObservedPackage[]>;
}

type Names = Iterable<string> | null;

export interface Observing {
  /**
   * Makes changes together with others that come in the same turn of Node's loop, as one change of the store; resolves when it is
   * told. Before `many()` each is made and told at once: whoever waits for one waits for no other.
   */
  soon(change: () => void): Promise<void>;
  /** From now on many names change at a time. */
  many(): void;
  /** Packages of these names (null: of all) as the repositories show them now, and the repositories themselves. */
  packages(seen: ObservedPackages, names: Names): void;
  /** The whole mount table. */
  mounts(seen: ReadonlyMap<string, readonly ObservedMount[]>): void;
  /** One image; null = it is not mounted. */
  mount(id: string, seen: ObservedMount | null): void;
  /** The groups of every name, as they are found at the beginning. */
  cgroups(seen: ReadonlyMap<string, ObservedCgroup>): void;
  /** The same for all attempts. */
  allAttempts(seen: ReadonlyMap<string, readonly ObservedAttempt[]>): void;
  /** The groups of one name; null = there are none. */
  cgroup(name: string, seen: ObservedCgroup | null): void;
  attempts(name: string, seen: readonly ObservedAttempt[]): void;
}

export function createObserving(store: Store): Observing {
  let isMany = false;
  let waiting: { readonly change: () => void; readonly settle: PromiseWithResolvers<void> }[] = [];

  /** After all that the answers of this turn lead to. */
  function makeAll(): void {
    const all = waiting;
    waiting = [];
    const made = store.together(() =>
      all.map(({ change, settle }) => {
        try {
          change();
          return settle.resolve;
        } catch (error) {
          return () => settle.reject(error);
        }
      }),
    );
    for (const tell of made) tell();
  }

  function replace(
    draft: Draft<State>,
    kind: 'packages' | 'mounts' | 'attempts',
    name: string,
    seen: readonly unknown[] | undefined,
  ): void {
    const before = store.get().observed[kind].get(name);
    if (isDeepStrictEqual(before ?? [], seen ?? [])) return;
    const map = draft.observed[kind] as Map<string, unknown>;
    if (seen === undefined || seen.length === 0) map.delete(name);
    // Frozen, it is not walked through for drafts.
    else map.set(name, Object.freeze([...seen]));
  }

  const isFirst = (kind: 'packages' | 'mounts'): boolean => store.get().observed[kind].size === 0;

  /** Whether a name's list is another one than before. */
  function differs(kind: 'mounts' | 'attempts', name: string, seen: readonly unknown[]): boolean {
    return !isDeepStrictEqual(store.get().observed[kind].get(name) ?? [], seen);
  }

  return {
    many: () => void (isMany = true),
    async soon(change) {
      if (!isMany) {
        change();
        return;
      }
      const settle = Promise.withResolvers<void>();
      if (waiting.length === 0) setImmediate(makeAll);
      waiting.push({ change, settle });
      await settle.promise;
    },
    packages({ repositories, packages }, names) {
      const isNew = isFirst('packages');
      if (isNew) store.observeAll('packages', frozen(packages));
      const { observed } = store.get();
      const concerned = isNew ? [] : new Set(names ?? [...packages.keys(), ...observed.packages.keys()]);
      store.update((draft) => {
        for (const name of concerned) replace(draft, 'packages', name, packages.get(name));
        for (const [id, repository] of repositories) {
          if (!isDeepStrictEqual(observed.repositories.get(id), repository)) {
            draft.observed.repositories.set(id, repository as Draft<typeof repository>);
          }
        }
        for (const id of observed.repositories.keys())
          if (!repositories.has(id)) draft.observed.repositories.delete(id);
      });
    },
    mounts(seen) {
      if (isFirst('mounts')) {
        store.observeAll('mounts', frozen(seen));
        return;
      }
      const names = new Set([...seen.keys(), ...store.get().observed.mounts.keys()]);
      store.update((draft) => {
        for (const name of names) replace(draft, 'mounts', name, seen.get(name));
      });
    },
    mount(id, seen) {
      const name = containerName(id);
      const others = (store.get().observed.mounts.get(name) ?? []).filter((mount) => mount.id !== id);
      const all = seen === null ? others : [...others, seen];
      if (differs('mounts', name, all)) store.observe('mounts', name, all.length === 0 ? undefined : all);
    },
    cgroups(seen) {
      for (const group of seen.values()) Object.freeze(group);
      store.observeAll('cgroups', seen);
    },
    allAttempts(seen) {
      store.observeAll('attempts', frozen(seen));
    },
    cgroup(name, seen) {
      if (!isDeepStrictEqual(store.get().observed.cgroups.get(name) ?? null, seen))
        store.observe('cgroups', name, seen ?? undefined);
    },
    attempts(name, seen) {
      if (differs('attempts', name, seen)) store.observe('attempts', name, seen.length === 0 ? undefined : seen);
    },
  };
}

/** Lists that are frozen are not walked through for drafts. */
function frozen<T>(seen: ReadonlyMap<string, readonly T[]>): Map<string, readonly T[]> {
  return new Map(
    [...seen].filter(([, list]) => list.length > 0).map(([name, list]) => [name, Object.freeze([...list])]),
  );
}
