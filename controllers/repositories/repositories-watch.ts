// Follows the repositories of the document, and what becomes of mounted images: written to in place, found corrupted by
// dm-verity, or unmounted, which frees the memory of repositories that are gone. The watches of directories, the kernel's
// uevents and the mount table say when to look.
import { closeSync } from 'node:fs';
import type { Operation } from 'fast-json-patch';
import type { Logger } from 'pino';
import type { Mounts } from '../mounts/mounts.ts';
import type { Repositories } from './repositories.ts';
import { openUevents, readVerityErrors } from '../../native/uevents.ts';
import type { FileIdentity, ObservedMount } from '../../state/observed.ts';
import { parsePointer } from '../../state/text/pointer.ts';
import type { Store } from '../../state/store.ts';
import type { Observing } from '../observing.ts';
import type { RuntimeEvent } from '../events.ts';
import type { Launcher } from '../../native/wire/launcher-interface.ts';

/** The watch's key at the launcher. */
export const ueventsKey = 2;

export interface RepositoryWatch {
  /** A watch of the launcher has fired: whether it was that of the uevents. */
  fired(key: number): void;
  /** Everything has been observed once: the document's repositories are in force when this resolves. */
  follow(): Promise<void>;
}

export interface RepositoryWatchPorts {
  readonly store: Store;
  readonly mounts: Mounts;
  readonly repositories: Repositories;
  readonly observing: Observing;
  readonly launcher: Pick<Launcher, 'watch' | 'rearm' | 'unwatch'>;
  readonly tell: (event: RuntimeEvent) => void;
  readonly log: Pick<Logger, 'warn'>;
  readonly failed: (error: unknown) => void;
}

/** Packages that come and go are observed from now on, all else from `follow` on. */
export function createRepositoryWatch(ports: RepositoryWatchPorts): RepositoryWatch {
  const { store, mounts, repositories, observing, launcher } = ports;
  const told = new Map<string, ObservedMount['integrity']>();
  let uevents: number | null = null;

  /** Files of these containers have changed: whether that concerns what is mounted of them. */
  function look(names: readonly string[]): void {
    for (const name of names) {
      for (const { id } of store.get().observed.mounts.get(name) ?? []) observing.mount(id, mounts.observeOne(id));
    }
  }

  async function read(): Promise<void> {
    if (uevents === null) return;
    const found = readVerityErrors(uevents);
    // Read out first: what comes from here on rings again.
    await launcher.rearm(ueventsKey);
    if (found) observing.mounts(await mounts.observe());
  }

  /** The kernel is listened to as long as a repository has dm-verity. */
  async function listen(): Promise<void> {
    const wanted = [...store.get().desired.repositories.values()].some(({ integrity }) => integrity === 'dm-verity');
    if (wanted === (uevents !== null)) return;
    if (uevents === null) {
      uevents = openUevents();
      await launcher.watch(ueventsKey, 'readable', uevents);
    } else {
      await launcher.unwatch(ueventsKey);
      closeSync(uevents);
      uevents = null;
    }
  }

  function compare(names: readonly string[]): void {
    for (const name of names) {
      for (const { id, integrity } of store.get().observed.mounts.get(name) ?? []) {
        if (integrity === 'intact') told.delete(id);
        else if (told.get(id) !== integrity) {
          told.set(id, integrity);
          ports.log.warn({ container: id, how: integrity }, 'integrity of a mounted image lost');
          ports.tell({ type: 'integrity_lost', container: id, how: integrity });
        }
      }
    }
  }

  /** Memory that only a mount has kept is given back with the mount. */
  async function release(): Promise<void> {
    const isUsed = ({ dev, ino }: FileIdentity): boolean =>
      [...store.get().observed.mounts.values()]
        .flat()
        .some(({ backing }) => backing !== null && backing.dev === dev && backing.ino === ino);
    if (await repositories.release(isUsed)) observing.packages(repositories.current(), []);
  }

  async function take(): Promise<void> {
    const names = await repositories.setRepositories(store.get().desired.repositories);
    observing.packages(repositories.current(), names);
    await listen();
  }

  function changed(operations: readonly Operation[]): void {
    if (operations.some(({ path }) => path.startsWith('/desired/repositories'))) take().catch(ports.failed);
    const names = operations.flatMap(({ path }) => {
      const [top, part, name] = parsePointer(path);
      if (top !== 'observed' || part !== 'mounts') return [];
      return name === undefined ? [...store.get().observed.mounts.keys()] : [name];
    });
    compare(names);
    if (names.length > 0 || operations.some(({ path }) => path.startsWith('/observed/repositories'))) {
      release().catch(ports.failed);
    }
  }

  repositories.onChange((names) => {
    // First what is mounted: a file that was written to is no package any more, and its container must know why.
    look(names);
    observing.packages(repositories.current(), names);
  });

  return {
    fired(key) {
      if (key === ueventsKey) read().catch(ports.failed);
    },
    async follow() {
      store.subscribe(changed);
      compare([...store.get().observed.mounts.keys()]);
      await Promise.all([take(), release()]);
    },
  };
}
