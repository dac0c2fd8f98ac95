// The document, its patches and its generations: whatever changes the desired state goes through here.
import { join } from 'node:path';
import type { Operation } from 'fast-json-patch';
import { applyText, type ApplyOptions, isTried, previewText } from './apply-document.ts';
import { bootFile } from './boot-state.ts';
import { checkExpected, DocumentSigned, UnknownGeneration } from './refusals.ts';
import { anybody, type Admission } from './admission.ts';
import { openFloor } from './serial-floor.ts';
import { signatureFile } from './document-signature.ts';
import { checkSignedPatch } from './signed-patches.ts';
import { saveBoot, show, type Log, type NotDurable } from './core.ts';
import type { FieldOrigin } from '../status.ts';
import type { Configured } from '../desired.ts';
import { bootFiles, generationFiles, summaryOf, type Summary } from './generation-files.ts';
import { openGenerations } from './generations.ts';
import { copySeed, giveUp, openCore, takeStored } from './open-core.ts';
import { createRelock } from './relock.ts';
import { createStated } from './stated.ts';
import { createRetry } from '../retry.ts';
import type { Stand } from '../standing.ts';
import type { Locked, State, Store } from '../store.ts';
import { synchronise, type FileOptions } from './synchronise.ts';
import { createTrialDocuments, settleTrial, type TrialDocuments } from './trial-documents.ts';
import { quarantineFile, quarantineName } from '../trial/quarantine.ts';
import type { TrialTerms } from '../trial/terms.ts';
import { trialFile } from '../trial/trial-file.ts';
import { isUnderWay, lastConfirmed, type TrialState } from '../trial/trial-record.ts';
import type { Tree } from '../text/tree.ts';
import { documentFiles } from '../file/document-files.ts';
import { lastingText, passingText } from '../file/kept-text.ts';
import { watchFile } from '../file/file-watch.ts';
import { understoodFile } from '../file/understood.ts';
import type { Exchange } from '../file/write-file.ts';
import { createSerialQueue } from '../serial-queue.ts';

export { DocumentRefused } from './apply-document.ts';
export { DocumentConflict, DocumentSigned } from './refusals.ts';

/** ms from a patch to the beginning of its write: what the patch starts goes first, and patches that come together are one write. */
const WRITE_AFTER = 5;

export interface DocumentsOptions {
  /** Path of the document; it need not exist. */
  readonly desired: string;
  /** Copied to `desired` when there never was a document; null = none. */
  readonly seed: string | null;
  readonly stateDir: string;
  readonly runDir: string;
  readonly store: Store;
  readonly log: Log;
  /** Told of what the document's files cannot do at present. */
  readonly stand: Stand;
  /** Another one than before ends the life of the overlay (/proc/sys/kernel/random/boot_id). */
  readonly bootId: string;
  /** Why stateDir lasts no longer than the boot; null = it does. */
  readonly passing?: string | null;
  /** Version of the runtime, stored with each generation. */
  readonly runtime: string;
  readonly exchange: Exchange;
  /** Gives a file the extended attributes (xattr(7)) of another. */
  readonly copyAttributes: (from: string, to: string) => Promise<void> | void;
  /** ms since the epoch; the generations' times. */
  readonly now?: () => number;
  /** Which documents count; any when left out. */
  readonly admission?: Admission;
  /** Repositories beside the document's. */
  readonly configured?: Configured;
  /** CLOCK_BOOTTIME in ms. */
  readonly bootTime?: () => number;
  /** What every document must come to before it is confirmed; null = nothing. */
  readonly trial?: TrialTerms | null;
  /** Told of every step of a trial; what it is of stands in the store. */
  readonly tried?: (state: TrialState) => void;
}

/** Gives the operations of a patch, told the tree that they are for; may throw, and nothing is changed then. */
export type MakePatch = (tree: Tree) => readonly Operation[];

export interface PatchOptions {
  readonly lifetime: 'document' | 'boot';
  readonly origin: string;
  /** What was ordered, as a person would write it (`stop idle`); `patch` when left out. */
  readonly command?: string;
  /** Called when nothing stands against the patch any more, right before it is in force. */
  readonly begins?: () => void;
}

/** The document in force. */
export interface InForceNow {
  readonly text: string;
  /** Nothing is in force that is yet to be written into the text. */
  readonly isWritten: boolean;
  /** What it says, with the patches that last until the boot ends over it. */
  readonly effective: Tree;
}

export interface Documents extends TrialDocuments {
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
  /** The document in force. */
  current(): InForceNow;
  /**
   * A whole new document, in force and on the disk when this resolves. Rejects with DocumentRefused, or with
   * DocumentConflict when the generation in force is not `expected` or the file was edited meanwhile.
   */
  apply(text: string, options: ApplyOptions): Promise<{ generation: number }>;
  /** Whether a document would be on trial. One that cannot be read, or does not count, would not. */
  isTried(given: { readonly text: string; readonly signature: string | null }): Promise<boolean>;
  /** The state that a document would lead to; nothing is changed. Rejects with DocumentRefused. */
  preview(text: string): Promise<State>;
  /** Takes what patches for the boot, or those that could not be written, have set: of a name's entries; null = all of it. */
  dropOverlay(
    name: string | null,
  ): Promise<{ generation: number; dropped: readonly FieldOrigin[]; notDurable: NotDurable }>;
  /** Why what is in force for so long may not last as long. */
  notDurable(lifetime: PatchOptions['lifetime']): NotDurable;
  /** The stored generations, oldest first. */
  history(): Promise<readonly Summary[]>;
  /** The text of a stored generation. Rejects with UnknownGeneration. */
  textOf(generation: number): Promise<string>;
  /** Applies a stored generation's text again, with the versions that it had been resolved to. */
  rollback(
    generation: number,
    options: { readonly origin: string; readonly expected?: number | null },
  ): Promise<{ generation: number }>;
  /** Remembers what an entry's requirement was resolved to; another version than before makes a generation. */
  setLock(key: string, resolved: Locked): void;
  /** Has entries resolved anew: whoever resolves them does so while this runs. The generation is a new one when that changes anything. */
  renewLocks(keys: readonly string[], options: PatchOptions): { generation: number; durable: Promise<NotDurable> };
  /**
   * Gives up the document on which the runtime ended again and again: one that is on trial goes back; of another the one before
   * is in force until the boot ends, and what consoles have said holds over it.
   */
  fallback(): Promise<void>;
  /** Looks whether the file's path leads elsewhere now: mounts have changed. */
  follow(): void;
  /** Writes again what was deleted of it in runDir. */
  restore(): Promise<void>;
  /** Waits for what is on its way to the disk, and ends watching. */
  close(): Promise<void>;
}

/**
 * Opens the document: puts what is in force into the store and keeps following the file. When the file's text is that of the
 * newest stored generation no YAML is parsed. A bad document does not reject: an earlier generation is in force then, and
 * `document` in the store says why. Rejects when stateDir cannot be used.
 */
export async function openDocuments(options: DocumentsOptions): Promise<Documents> {
  const { store, log, stand, desired: path } = options;
  const warn = (fields: object, message: string): void => log.warn(fields, message);
  const { stateDir, runDir, bootId, passing = null } = options;
  // One thing at a time: whatever touches the file or the generations waits for what came before.
  const queue = createSerialQueue();
  const enqueue = queue.run;
  // Nor before everything is there.
  const opened = Promise.withResolvers<undefined>();
  void enqueue(() => opened.promise);
  const storing = createRetry(() => {
    enqueue(() => settleStored()).catch((error: unknown) =>
      log.error({ err: error }, 'what is stored cannot be read or written'),
    );
  });
  const { now = Date.now, bootTime = () => performance.now(), tried = () => undefined } = options;
  const trials = trialFile({
    disk: lastingText(join(stateDir, 'trial.json')),
    passing: passingText(join(runDir, 'trial.json')),
    ...{ boot: bootId, away: passing },
  });
  const generations = await openGenerations({
    trial: trials,
    disk: generationFiles(join(stateDir, 'generations'), true),
    passing: bootFiles(join(runDir, 'generations'), bootId),
    away: passing === null ? null : { directory: stateDir, why: passing },
    ...{ stand, warn, failed: storing.failed },
  });
  const boot = bootFile(runDir, bootId, warn);
  const file: FileOptions = { path, exchange: options.exchange, copyAttributes: options.copyAttributes };
  const floor = openFloor({ stateDir, runDir, stand, failed: storing.failed });
  const { admission = anybody } = options;
  const isSigned = admission.keys !== null;
  const given = {
    ...{ configured: new Map(), ...options, admission, floor, files: documentFiles, failed: storing.failed },
    understoodFile: understoodFile(runDir, 'document', options.runtime),
    ...{
      trials,
      quarantines: quarantineFile(lastingText(join(stateDir, quarantineName))),
      configuredTrial: options.trial ?? null,
      tell: tried,
    },
    moment: () => ({ boot: bootId, at: bootTime(), time: now() }),
  };
  const core = await openCore(given, generations, boot);
  const overlayFile = join(runDir, 'overlay.json');
  const tellUnsure = (): void => {
    stand('Unreadable', overlayFile, core.unsure.overlay);
    if (store.get().unknown !== null) storing.failed();
  };
  tellUnsure();
  if (core.stored === 0 && core.unsure.document === null) await copySeed(core, options);
  await synchronise(core, file, true);
  const goBack = async (): Promise<void> => {
    if (core.trial?.state === 'reverting') await (await import('./revert-document.ts')).carryOutRevert(core, file);
  };
  await goBack();
  const settleStored = async (): Promise<void> => {
    const isSettled = await settleTrial(core);
    stand('NotDurable', trials.path, trials.lacks());
    await goBack();
    if (core.quarantineLacks) await (await import('./keep-quarantine.ts')).keepQuarantine(core, core.quarantine);
    core.highest = Math.max(core.highest, generations.list().at(-1)?.generation ?? 0);
    if (store.get().unknown !== null && core.pending.length === 0) {
      await takeStored(core, now);
      await synchronise(core, file, true);
    }
    const isKept = (core.unkept === null || (await saveBoot(core)) === null) && (await floor.settle());
    if (isSettled && isKept && store.get().unknown === null) storing.over();
    else storing.failed();
    tellUnsure();
  };

  const again = createRetry(() => watch.look());
  const read = async (rested: boolean): Promise<void> => {
    // What is stored says more than the file.
    if (store.get().unknown !== null) await settleStored();
    if (core.stored === 0 && core.unjudged !== null) await copySeed(core, options);
    await synchronise(core, file, rested);
    stand('Unreadable', path, core.unreadable ?? core.unjudged);
    if (core.unreadable === null && core.unjudged === null) again.over();
    else again.failed();
  };
  const settle = (rested: boolean): void => {
    enqueue(() => read(rested)).catch((error: unknown) => {
      log.error({ err: error, path }, 'the document cannot be brought together with its file');
    });
  };
  let writing: NodeJS.Timeout | null = null;
  const writeNow = (): void => {
    if (writing === null) return;
    clearTimeout(writing);
    writing = null;
    settle(false);
  };
  const writeSoon = (): void => {
    writing ??= setTimeout(writeNow, WRITE_AFTER);
  };
  const watched = (at: string) =>
    watchFile(at, {
      changed: () => settle(true),
      blind: (directory, why) => stand('NotWatched', directory, why),
      failed: (error) => log.error({ err: error, path: at }, 'the document cannot be watched'),
    });
  const watch = await watched(path);
  const watchSignature = isSigned ? await watched(signatureFile(path)) : null;
  opened.resolve(undefined);
  settle(false); // what came between the reading and the watching

  const stated = createStated(core);
  const relock = createRelock({ core, enqueue, settle: () => synchronise(core, file, false) });
  /** What patches need is loaded by the first one, since it weighs megabytes; an import of what is there costs a look-up. */
  let loaded: typeof import('./in-force.ts') | null = null;
  const load = async (): Promise<typeof import('./in-force.ts')> => (loaded ??= await import('./in-force.ts'));
  const putIntoForce = (
    { patchBoot, patchDocument }: typeof import('./in-force.ts'),
    operations: readonly Operation[],
    { lifetime, origin, command = 'patch', begins }: PatchOptions,
    withdraws: boolean,
  ): { generation: number; durable: Promise<NotDurable> } => {
    const generation = core.highest + 1;
    const { document } = store.get();
    if (lifetime === 'boot') {
      const inForce = patchBoot(core.inForce, operations, { generation, origin, command });
      begins?.();
      core.highest = generation;
      show(core, inForce, generation, document);
      return { generation, durable: enqueue(() => saveBoot(core)) };
    }
    const overlay = core.inForce.overlay;
    const { inForce, changes, fields } = patchDocument(core.inForce, operations, { generation, origin, command });
    begins?.();
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
    show(core, inForce, generation, document);
    writeSoon();
    if (inForce.overlay !== overlay) void enqueue(() => saveBoot(core));
    return { generation, durable: done.promise };
  };

  const notDurable = (lifetime: PatchOptions['lifetime']): NotDurable =>
    core.unkept ?? (lifetime === 'boot' ? null : generations.lacks(core.stored));

  const refuseLasting = (lifetime: PatchOptions['lifetime']): void => {
    if (lifetime === 'document') throw new DocumentSigned('a change that is to last longer than the boot');
  };

  return {
    ...createTrialDocuments(core, file, enqueue),
    notDurable,
    async patch(operations, given) {
      const module = loaded ?? (await load());
      if (isSigned) {
        refuseLasting(given.lifetime);
        checkSignedPatch(operations, core.inForce.document.tree);
      }
      const tidy = given.lifetime === 'document' ? stated(operations) : operations;
      return putIntoForce(module, tidy instanceof Promise ? await tidy : tidy, given, false);
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
        return putIntoForce(module, operations, given, true);
      });
      const why = await made.durable;
      // Made anew on an edit that came between, it has a later number.
      const { document } = store.get();
      return {
        generation: given.lifetime === 'boot' ? made.generation : Math.max(made.generation, document.generation),
        notDurable: why,
      };
    },
    current: () => ({
      text: core.text,
      isWritten: core.pending.length === 0,
      effective: core.inForce.effective.tree,
    }),
    apply: (text, given) => enqueue(() => applyText(core, file, text, given)),
    preview: (text) => previewText(core, text),
    isTried: (given) => isTried(core, given),
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
    async history() {
      const all = await Promise.all(generations.list().map(({ generation }) => generations.read(generation)));
      return all.flatMap((one) => (one === null ? [] : [summaryOf(one)]));
    },
    async textOf(generation) {
      const found = await generations.read(generation);
      if (found === null) throw new UnknownGeneration(generation);
      return found.text;
    },
    rollback: (generation, { origin, expected = null }) =>
      enqueue(async () => {
        const confirmed = lastConfirmed(core.trial, core.stored);
        if (isSigned && generation !== confirmed)
          throw new DocumentSigned(
            `rollback to generation ${generation}, where ${confirmed} is the last confirmed one`,
          );
        const earlier = await generations.read(generation);
        if (earlier === null) throw new UnknownGeneration(generation);
        const { text, lock, signature } = earlier;
        return await applyText(core, file, text, { origin, expected, lock, signature, confirmed: true });
      }),
    setLock: relock.set,
    renewLocks(keys, given) {
      if (isSigned) refuseLasting(given.lifetime);
      return relock.renew(keys, given);
    },
    fallback: () =>
      enqueue(async () => {
        if (!isUnderWay(core.trial) || core.trial.state === 'reverting') return await giveUp(core);
        const { beginRevert } = await import('./revert-document.ts');
        const message = 'the reconciler has ended on it again and again';
        await beginRevert(core, file, { reason: 'ReconcilerDied', message, time: now(), entries: [] });
      }),
    follow() {
      watch.rewalk();
      watchSignature?.rewalk();
    },
    restore: () =>
      enqueue(async () => {
        await core.boot.restore();
        await generations.restore();
      }),
    async close() {
      await Promise.all([watch.close(), watchSignature?.close()]);
      again.over();
      writeNow();
      await queue.idle();
      storing.over();
      await core.parser.close();
    },
  };
}
