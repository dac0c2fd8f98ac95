// Entries are resolved, or resolved anew: what the reconciler finds goes into the generation's lock, or makes a generation.
import { saveBoot, show, storeGeneration, storeLock, type Core, type NotDurable } from './core.ts';
import { asksForAnother, lockOf, sameLock, type Lock } from './lock.ts';
import type { Locked } from '../store.ts';
import { goodDocument } from '../status.ts';

export interface RelockPorts {
  readonly core: Core;
  /** One thing at a time with all that touches the generations. */
  readonly enqueue: <T>(work: () => Promise<T>) => Promise<T>;
  /** Writes what is pending. */
  readonly settle: () => Promise<void>;
}

export interface Relock {
  /** Remembers what an entry's requirement was resolved to; another version than before makes a generation. */
  set(key: string, resolved: Locked): void;
  /** Has entries resolved anew. Gives the generation that this makes, or the present one when nothing changes. */
  renew(
    keys: readonly string[],
    options: { readonly lifetime: 'document' | 'boot'; readonly origin: string },
  ): { generation: number; durable: Promise<NotDurable> };
}

/** Who takes another version without being asked: `update: automatic`, or one that somebody has uninstalled. */
const byItself = 'reconciler';

export function createRelock({ core, enqueue, settle }: RelockPorts): Relock {
  const { store } = core;
  let renewing = false;
  let adding = false;

  const failed = (error: unknown): void => {
    core.log.error({ err: error }, 'what versions were resolved to cannot be stored');
  };

  /** What has been found for the first time is the stored generation's, unless something else asks for it. */
  function take(key: string, resolved: Locked): void {
    const [entry, shown] = [core.written, store.get()].map(({ desired }) => desired.containers.get(key));
    if (core.lock.has(key) || entry === undefined || shown === undefined || asksForAnother(entry, shown)) return;
    core.lock = new Map(core.lock).set(key, resolved);
  }

  /** Stores it, and what a generation that was just being stored has missed. */
  function add(): void {
    if (adding) return;
    adding = true;
    enqueue(async () => {
      adding = false;
      const whole = lockOf(core.written, store.get(), core);
      if ([...whole.keys()].some((key) => !core.lock.has(key))) core.lock = new Map([...whole, ...core.lock]);
      await storeLock(core);
      if (core.inForce.overlay.length > 0) await saveBoot(core);
    }).catch(failed);
  }

  function isStored(): boolean {
    const now = lockOf(core.written, store.get(), core);
    return now.size === core.lock.size && [...now].every(([key, resolved]) => sameLock(core.lock.get(key), resolved));
  }

  /** The same document again, resolved to something else. */
  function makeGeneration(origin: string): { generation: number; durable: Promise<NotDurable> } {
    const generation = ++core.highest;
    show(core, core.inForce, generation, store.get().document);
    const durable = enqueue(async () => {
      await settle();
      await storeLock(core);
      // What was pending may have been stored with it.
      if (isStored()) return core.generations.lacks(core.stored);
      const number = core.stored < generation ? generation : ++core.highest;
      const { text, endMark, written, besides, signature } = core;
      const made = { generation: number, kind: 'console', origin, text, endMark, written, besides, signature } as const;
      await storeGeneration(core, made);
      const { document } = store.get();
      show(core, core.inForce, core.highest, document.status === 'ok' ? goodDocument(number) : document);
      return core.generations.lacks(number);
    });
    durable.catch(failed);
    return { generation, durable };
  }

  return {
    set(key, resolved) {
      const before = store.get().lock.get(key);
      store.update(({ lock }) => void lock.set(key, resolved));
      if (renewing) return;
      if (before !== undefined && !sameLock(before, resolved)) {
        makeGeneration(byItself);
        return;
      }
      take(key, resolved);
      add();
    },
    renew(keys, { lifetime, origin }) {
      const before = store.get().lock;
      renewing = true;
      try {
        store.update(({ lock }) => {
          for (const key of keys) lock.delete(key);
        });
      } finally {
        renewing = false;
      }
      const { lock: after, generation } = store.get();
      const changed = keys.filter((key) => !sameLock(before.get(key), after.get(key)));
      if (changed.length === 0) return { generation, durable: Promise.resolve(null) };
      const others = new Map([...core.bootLock].filter(([key]) => !changed.includes(key)));
      if (lifetime === 'document') {
        core.bootLock = others;
        return makeGeneration(origin);
      }
      core.bootLock = new Map([...others, ...only(after, changed)]);
      show(core, core.inForce, ++core.highest, store.get().document);
      return { generation: core.highest, durable: enqueue(() => saveBoot(core)) };
    },
  };
}

function only(lock: Lock, keys: readonly string[]): Lock {
  return new Map([...lock].filter(([key]) => keys.includes(key)));
}
