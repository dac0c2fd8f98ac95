// Patches of the document: in force at once, and written a moment later with those that have come meanwhile.
import type { Operation } from 'fast-json-patch';
import { checkExpected, DocumentSigned } from './refusals.ts';
import { checkSignedPatch } from './signed-patches.ts';
import { saveBoot, show, type Core, type NotDurable } from './core.ts';
import type { FieldOrigin } from '../status.ts';
import type { Generations } from './generations.ts';
import { createRelock } from './relock.ts';
import { createStated } from './stated.ts';
import type { Locked, Store } from '../store.ts';
import { synchronise, type FileOptions } from './synchronise.ts';
import type { Tree } from '../text/tree.ts';

/** ms from a patch to the beginning of its write: what the patch starts goes first, and patches that come together are one write. */
const WRITE_AFTER = 5;

/** Gives the operations of a patch, told the tree that they are for; may throw, and nothing is changed then. */
export type MakePatch = (tree: Tree) => readonly Operation[];

export interface PatchOptions {
  readonly lifetime: 'document' | 'boot';
  readonly origin: string;
  /** What was ordered, as a person would write it (`stop idle`); `patch` when left out. */
  readonly command?: string;
  /** Called when nothing stands against the patch any more, before it is in force. */
  readonly begins?: () => void;
}

export interface Patches {
  /**
   * Puts RFC 6902 operations into force: `desired` in the store has them when this resolves; maps that are missing above an
   * added field are made. `durable` resolves when they are on the disk (of a `boot` patch: in runDir), or with why they are not. Rejects with
   * PatchError or PatchRefused, and nothing is changed then.
   */
  patch(
    operations: readonly Operation[],
    options: PatchOptions,
  ): Promise<{ generation: number; durable: Promise<NotDurable> }>;
  /**
   * A patch of somebody who has read the document: made on the one in force, once what the file holds has been taken over,
   * and durable when this resolves. Rejects with PatchError or PatchRefused, and with DocumentConflict when another
   * generation is in force than `expected`, or when an edit comes between that the patch does not fit; nothing of it stays.
   */
  patchRead(
    make: MakePatch,
    options: PatchOptions & { readonly expected: number | null },
  ): Promise<{ generation: number; notDurable: NotDurable }>;
  /** Takes what patches for the boot, or those that could not be written, have set: of a name's entries; null = all of it. */
  dropOverlay(
    name: string | null,
  ): Promise<{ generation: number; dropped: readonly FieldOrigin[]; notDurable: NotDurable }>;
  /** Why what is in force for so long may not last as long. */
  notDurable(lifetime: PatchOptions['lifetime']): NotDurable;
  /** Remembers what an entry's requirement was resolved to; another version than before makes a generation. */
  setLock(key: string, resolved: Locked): void;
  /** Has entries resolved anew: whoever resolves them does so while this runs. The generation is a new one when that changes anything. */
  renewLocks(keys: readonly string[], options: PatchOptions): { generation: number; durable: Promise<NotDurable> };
}

export interface PatchesPorts {
  readonly core: Core;
  readonly store: Store;
  readonly generations: Pick<Generations, 'lacks'>;
  readonly file: FileOptions;
  readonly enqueue: <T>(task: () => Promise<T> | T) => Promise<T>;
  /** Only a document with a signature counts. */
  readonly isSigned: boolean;
  /** Brings what is in force and the file together. */
  readonly write: () => void;
}

export function createPatches({ core, store, generations, file, enqueue, isSigned, write }: PatchesPorts): Patches & {
  /** Does not wait with what is yet to be written. */
  writeNow(): void;
} {
  let saving: NodeJS.Immediate | null = null;
  const saveNow = (): void => {
    if (saving === null) return;
    clearImmediate(saving);
    saving = null;
    void enqueue(() => saveBoot(core));
  };
  /** Of a patch that touches no overlay its number alone is kept: what it begins goes first, and nobody has been told of it before. */
  const saveSoon = (): void => {
    saving ??= setImmediate(saveNow);
  };
  let writing: NodeJS.Timeout | null = null;
  const writeNow = (): void => {
    saveNow();
    if (writing === null) return;
    clearTimeout(writing);
    writing = null;
    write();
  };
  const writeSoon = (): void => {
    writing ??= setTimeout(writeNow, WRITE_AFTER);
  };
  const stated = createStated(core);
  const relock = createRelock({ core, enqueue, settle: () => synchronise(core, file, false) });
  /** What patches need is loaded by the first one, since it weighs megabytes; an import of what is there costs a look-up. */
  let loaded: typeof import('./in-force.ts') | null = null;
  const load = async (): Promise<typeof import('./in-force.ts')> => (loaded ??= await import('./in-force.ts'));
  const putIntoForce = (
    { patchBoot, patchDocument, takesDown }: typeof import('./in-force.ts'),
    operations: readonly Operation[],
    { lifetime, origin, command = 'patch', begins }: PatchOptions,
    withdraws: boolean,
  ): { generation: number; durable: Promise<NotDurable> } => {
    const generation = core.highest + 1;
    const { document } = store.get();
    // Of most it is known beforehand, and what begins need not wait until the patch is made.
    const hasBegun = begins !== undefined && takesDown(core.inForce, operations, lifetime === 'boot');
    if (hasBegun) begins();
    if (lifetime === 'boot') {
      const inForce = patchBoot(core.inForce, operations, { generation, origin, command });
      if (!hasBegun) begins?.();
      core.highest = generation;
      show(core, inForce, generation, document);
      return { generation, durable: enqueue(() => saveBoot(core)) };
    }
    const overlay = core.inForce.overlay;
    const { inForce, changes, fields } = patchDocument(core.inForce, operations, { generation, origin, command });
    if (!hasBegun) begins?.();
    core.highest = generation;
    if (changes.length === 0) {
      // Only the overlay gives way.
      show(core, inForce, generation, document);
      return { generation, durable: enqueue(() => saveBoot(core)) };
    }
    const done = Promise.withResolvers<NotDurable>();
    const built = inForce.document;
    const pending = { operations, origin, command, generation, changes, fields, withdraws, built, done };
    core.pending = [...core.pending, pending];
    if (inForce.overlay === overlay) saveSoon();
    show(core, inForce, generation, document);
    writeSoon();
    if (inForce.overlay !== overlay) void enqueue(() => saveBoot(core));
    return { generation, durable: done.promise };
  };
  /** What begins with a patch is seen in the store together with it. */
  const forceTogether = (...given: Parameters<typeof putIntoForce>): ReturnType<typeof putIntoForce> =>
    store.together(() => putIntoForce(...given));

  const notDurable = (lifetime: PatchOptions['lifetime']): NotDurable =>
    core.unkept ?? (lifetime === 'boot' ? null : generations.lacks(core.stored));

  const refuseLasting = (lifetime: PatchOptions['lifetime']): void => {
    if (lifetime === 'document') throw new DocumentSigned('a change that is to last longer than the boot');
  };

  return {
    writeNow,
    notDurable,
    async patch(operations, given) {
      const module = loaded ?? (await load());
      if (isSigned) {
        refuseLasting(given.lifetime);
        checkSignedPatch(operations, core.inForce.document.tree);
      }
      const tidy = given.lifetime === 'document' ? stated(operations) : operations;
      return forceTogether(module, tidy instanceof Promise ? await tidy : tidy, given, false);
    },
    async patchRead(make, { expected, ...given }) {
      if (isSigned) throw new DocumentSigned('a patch of the document');
      const { checkedOperations } = await import('../text/patch-bounds.ts');
      const module = await load();
      const made = await enqueue(async () => {
        await synchronise(core, file, false);
        const { generation } = store.get();
        checkExpected(generation, expected);
        const { tree } = given.lifetime === 'boot' ? core.inForce.effective : core.inForce.document;
        const operations = checkedOperations(tree, make(tree));
        if (operations.length === 0) return { generation, durable: Promise.resolve(notDurable(given.lifetime)) };
        return forceTogether(module, operations, given, true);
      });
      const why = await made.durable;
      // Made anew on an edit that came between, it has a later number.
      const { document } = store.get();
      return {
        generation: given.lifetime === 'boot' ? made.generation : Math.max(made.generation, document.generation),
        notDurable: why,
      };
    },
    async dropOverlay(name) {
      const { dropOverlay } = await load();
      return await enqueue(async () => {
        const before = store.get();
        const inForce = dropOverlay(core.inForce, name, core.highest + 1);
        const kept = new Set(inForce.overlay.map(({ pointer }) => pointer));
        const dropped = before.overlay.filter(({ pointer }) => !kept.has(pointer));
        if (dropped.length === 0) return { generation: before.generation, dropped, notDurable: notDurable('boot') };
        show(core, inForce, ++core.highest, before.document);
        return { dropped, notDurable: await saveBoot(core), generation: core.highest };
      });
    },
    setLock: relock.set,
    renewLocks(keys, given) {
      if (isSigned) refuseLasting(given.lifetime);
      return relock.renew(keys, given);
    },
  };
}
