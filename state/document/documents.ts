// The document, its patches and its generations: whatever changes the desired state goes through here.
import { join } from 'node:path';
import { applyText, type ApplyOptions, isTried, previewText } from './apply-document.ts';
import { bootFile } from './boot-state.ts';
import { DocumentSigned, UnknownGeneration } from './refusals.ts';
import { anybody, type Admission } from './admission.ts';
import { openFloor } from './serial-floor.ts';
import { signatureFile } from './document-signature.ts';
import { saveBoot, type Log } from './core.ts';
import type { Configured } from '../desired.ts';
import { bootFiles, generationFiles, patchTerms } from './generation-files.ts';
import type { Summary } from './generation.ts';
import { openGenerations } from './generations.ts';
import { copySeed, giveUp, openCore, takeStored } from './open-core.ts';
import { createPatches, type Patches } from './patches.ts';
import { createRetry } from '../retry.ts';
import type { Stand } from '../standing.ts';
import type { State, Store } from '../store.ts';
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
  /**
   * Has versions that do not understand generations stored as patches keep off this stateDir; gives whether they do, and where
   * they do not, or when left out, all are stored whole.
   */
  readonly announcePatches?: () => Promise<boolean>;
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

/** The document in force. */
export interface InForceNow {
  readonly text: string;
  /** Nothing is in force that is yet to be written into the text. */
  readonly isWritten: boolean;
  /** What it says, with the patches that last until the boot ends over it. */
  readonly effective: Tree;
}

export interface Documents extends TrialDocuments, Patches {
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
  /** The stored generations, oldest first. */
  history(): Promise<readonly Summary[]>;
  /** The text of a stored generation. Rejects with UnknownGeneration. */
  textOf(generation: number): Promise<string>;
  /** Applies a stored generation's text again, with the versions that it had been resolved to. */
  rollback(
    generation: number,
    options: { readonly origin: string; readonly expected?: number | null },
  ): Promise<{ generation: number }>;
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
  const terms = { ...patchTerms, announced: options.announcePatches ?? (() => Promise.resolve(false)) };
  const generations = await openGenerations({
    trial: trials,
    disk: generationFiles(join(stateDir, 'generations'), true, terms),
    passing: bootFiles(join(runDir, 'generations'), bootId, terms),
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

  const { writeNow, ...patches } = createPatches({
    ...{ core, store, generations, file, enqueue, isSigned },
    write: () => settle(false),
  });
  return {
    ...createTrialDocuments(core, file, enqueue),
    ...patches,
    current: () => ({
      text: core.text,
      isWritten: core.pending.length === 0,
      effective: core.inForce.effective.tree,
    }),
    apply: (text, given) => enqueue(() => applyText(core, file, text, given)),
    preview: (text) => previewText(core, text),
    isTried: (given) => isTried(core, given),
    async history() {
      const all = await Promise.all(generations.list().map(({ generation }) => generations.summary(generation)));
      return all.filter((one) => one !== null);
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
