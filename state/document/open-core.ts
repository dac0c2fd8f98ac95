// What is in force when the runtime starts, before the file is looked at; and going back to an earlier generation.
import { dirname } from 'node:path';
import { checkSignature, isPassing, judge } from './admission.ts';
import { emptyBoot, type BootFile } from './boot-state.ts';
import type { Built } from '../schema/build-desired.ts';
import { saveBoot, setUnsure, setWritten, show, showForced, type Core, type Log } from './core.ts';
import { keptLock, type Lock } from './lock.ts';
import { addFields, differences } from './overlay.ts';
import { emptyDesired, type Configured } from '../desired.ts';
import { readDocumentFile } from '../file/document-file.ts';
import { makeDirectory } from '../file/in-place.ts';
import type { Generation } from './generation.ts';
import { SCHEMA, type Generations } from './generations.ts';
import { parseOnce } from './parse-once.ts';
import { createParser } from './parser.ts';
import { readFileOf } from './read-signed.ts';
import { signedOverlay } from './signed-patches.ts';
import { signatureFile } from './document-signature.ts';
import { resumeTrial, startTrial } from './trial-start.ts';
import type { Store } from '../store.ts';
import { isMap } from '../text/tree.ts';
import { createFile } from '../file/write-file.ts';
import { LARGEST_DOCUMENT } from './parsed-document.ts';
import { noPlace, badDocument, goodDocument, notWritable } from '../status.ts';
import { messageOf } from '../errno.ts';

/** A document that says nothing. */
function emptyDocument(configured: Configured): Built {
  return { tree: new Map([['apiVersion', SCHEMA]]), desired: { ...emptyDesired, repositories: new Map(configured) } };
}

export interface CoreOptions {
  readonly store: Store;
  readonly log: Log;
  readonly runtime: string;
  readonly now?: () => number;
  readonly configured: Configured;
  /** The document's path. */
  readonly desired: string;
  readonly stand: Core['stand'];
  readonly failed: Core['failed'];
  readonly admission: Core['admission'];
  readonly floor: Core['floor'];
  readonly files: Core['files'];
  readonly trials: Core['trials'];
  readonly quarantines: Core['quarantines'];
  readonly moment: Core['moment'];
  readonly configuredTrial: Core['configuredTrial'];
  readonly tell: Core['tell'];
  readonly understoodFile: Core['understoodFile'];
}

/**
 * Puts the newest stored generation that is understood and was not given up into force, the boot's overlay over it. What of
 * it cannot be read now is unsure: takeStored() reads it again.
 */
export async function openCore(options: CoreOptions, generations: Generations, boot: BootFile): Promise<Core> {
  const { store, log, runtime, now = Date.now, configured, desired: path, stand, failed, admission, floor } = options;
  const { files, trials, quarantines, moment, configuredTrial, tell } = options;
  const parser = createParser(configured);
  const empty = emptyDocument(configured);
  const none: Lock = new Map();
  const core: Core = {
    ...{ store, log, parser, generations, boot, runtime, now, stand, failed, admission, floor },
    ...{ refused: [], path, highest: 0, signature: null, onDiskSignature: undefined, unjudged: null },
    inForce: { document: empty, overlay: [], effective: empty, configured },
    ...{
      text: '',
      endMark: false,
      written: empty,
      stored: 0,
      besides: null,
      lock: none,
      storedLock: none,
      bootLock: none,
    },
    ...{
      onDisk: null,
      unreadable: null,
      unsure: { document: null, overlay: null },
      onlyStored: false,
      guess: null,
      pending: [],
      unkept: null,
    },
    ...{
      files,
      trials,
      quarantines,
      moment,
      configuredTrial,
      tell,
      trial: null,
      isBack: false,
      target: [],
      before: new Map(),
      staged: null,
      quarantine: [],
    },
    ...{ quarantineLacks: false, origin: '', understoodFile: options.understoodFile },
  };
  await takeStored(core, now);
  return core;
}

/** Whose generations those are that a revert has made. */
export const revertOrigin = 'revert';

/** Above every number that may have been given out, while those that were cannot be counted. */
const uncounted = 1_000_000_000;

/** Reads what is stored, and puts it into force. */
export async function takeStored(core: Core, now: () => number): Promise<void> {
  const { generations, inForce } = core;
  const boot = await core.boot.read().catch((error: unknown) => messageOf(error));
  const {
    refused,
    lock: bootLock,
    overlay: kept,
    generation: last,
    notWritable: why,
  } = typeof boot === 'string' ? emptyBoot : boot;
  const newest = generations.list().at(-1)?.generation ?? 0;
  core.refused = refused;
  const isGuess = core.highest === core.guess;
  core.highest = Math.max(isGuess ? 0 : core.highest, newest, last);
  if (core.highest === 0 && generations.unread() !== null) {
    core.guess = Math.max(uncounted, Math.floor(now() / 1000));
    core.highest = core.guess;
  }
  const upTo = await startTrial(core, newest);
  const newestFound = (await storedRevert(core, newest)) ?? (await newestUnderstood(core, upTo));
  const found = typeof newestFound === 'string' ? null : newestFound;
  if (found !== null) putInForce(core, found);
  const overlay = core.admission.keys === null ? kept : signedOverlay(kept, core.written.tree);
  if (overlay.length > 0 || inForce.overlay.length > 0) {
    const { lay } = await import('./in-force.ts');
    core.inForce = lay(core.written, addFields(overlay, inForce.overlay), null, last, inForce.configured);
  }
  const generation = core.inForce.overlay.length > 0 ? core.highest : core.stored;
  const good = goodDocument(core.stored);
  const document = why === null ? good : notWritable(good, why);
  show(core, core.inForce, generation, document, new Map([...core.lock, ...bootLock]));
  core.bootLock = keptLock(bootLock, core.written, core.inForce.effective);
  core.onDisk = found?.text ?? null;
  await resumeTrial(core);
  const isNewest = found !== null && found.generation >= upTo;
  const unjudged = typeof newestFound === 'string' ? newestFound : null;
  const unread = isNewest
    ? null
    : (unjudged ?? generations.unread(upTo) ?? (found === null ? generations.unread() : null));
  if (upTo > core.stored && unread === null) await explainOlder(core, upTo);
  setUnsure(core, { document: unread, overlay: typeof boot === 'string' ? boot : null });
  // What was applied may lie beside its file: then only it says what is wanted.
  core.onlyStored = unread !== null && generations.list().at(-1)?.kind === 'apply';
}

/** A file that still holds the generation that was left aside is not taken for a new document. */
async function explainOlder(core: Core, newest: number): Promise<void> {
  const given = core.refused.includes(newest);
  const left = await core.generations.read(newest);
  const unsigned = given || left === null ? null : await checkSignature(core.admission, left);
  const by = left === null || left.runtime === core.runtime ? '' : ` (northstate ${left.runtime} has stored it)`;
  const not =
    unsigned === null ? `is not understood by this version of the runtime${by}` : `does not count: ${unsigned.message}`;
  const message = given
    ? `generation ${newest} ended the runtime again and again; generation ${core.stored} is in force`
    : `generation ${newest} ${not}; generation ${core.stored} is in force`;
  core.onDisk = left?.text ?? core.onDisk;
  if (given && left !== null) core.onDiskSignature = left.signature;
  core.besides = left?.besides ?? core.besides;
  show(core, core.inForce, core.store.get().generation, badDocument(core.store.get().document, noPlace(message)));
  core.log.warn({ generation: core.stored, newest }, 'an earlier generation is in force');
}

/** What a revert that was interrupted has stored already. */
async function storedRevert(core: Core, newest: number): Promise<Generation | null> {
  if (core.trial?.state !== 'reverting' || newest <= core.trial.generation) return null;
  const found = await newestUnderstood(core, newest);
  return found !== null && typeof found !== 'string' && found.origin === revertOrigin ? found : null;
}

/**
 * The newest generation up to a number that this version of the runtime understands, and that was not given up. A text: no
 * generation can be judged now, and why. Where documents must be signed, the text alone counts, since it alone is.
 */
export async function newestUnderstood(core: Core, highest: number): Promise<Generation | string | null> {
  const mustBeSigned = core.admission.keys !== null;
  const candidates = core.generations
    .list()
    .filter(({ generation }) => generation <= highest && !core.refused.includes(generation));
  for (const { generation } of candidates.toReversed()) {
    const stored = await core.generations.read(generation);
    if (stored === null || !(await wasConfirmed(core, stored))) continue;
    const unsigned = await checkSignature(core.admission, stored);
    if (unsigned !== null) {
      if (isPassing(unsigned.reason)) return unsigned.message;
      core.log.warn({ generation, ...unsigned }, 'a stored generation does not count');
      continue;
    }
    const isOurs = stored.runtime === core.runtime && stored.schema === SCHEMA;
    if (isOurs && !mustBeSigned && isAlone(core, stored)) return stored;
    // Stored by another version or beside other repositories of the configuration: only its text counts.
    const { parser, inForce, understoodFile: file } = core;
    const parsed = await (mustBeSigned
      ? parser.parse(stored.text)
      : parseOnce(stored.text, { parser, configured: inForce.configured, file }));
    if (parsed.ok) return { ...stored, tree: parsed.tree, desired: parsed.desired };
    core.log.warn({ generation, ...parsed.error }, 'a stored generation is not understood');
  }
  return null;
}

/** Whether one that was on trial was confirmed, as what came after it says; of the newest the record says it. */
async function wasConfirmed({ generations }: Core, { generation, trial }: Generation): Promise<boolean> {
  if (trial === null) return true;
  const newer = generations.list().find((each) => each.generation > generation);
  const next = newer === undefined ? null : await generations.read(newer.generation);
  return next === null || (next.origin !== revertOrigin && (next.trial === null || next.trial >= generation));
}

/** Whether what is stored says only what the document says, and the configuration adds nothing to it. */
function isAlone({ inForce }: Core, { tree, desired }: Generation): boolean {
  const own = isMap(tree) ? tree.get('repositories') : undefined;
  return inForce.configured.size === 0 && desired.repositories.size === (isMap(own) ? own.size : 0);
}

function putInForce(core: Core, found: Generation): void {
  const { text, endMark, signature, generation, tree, desired, besides, lock, origin } = found;
  const written = { tree, desired };
  const stored = { stored: generation, origin, besides, lock, storedLock: lock };
  Object.assign(core, { text, endMark, signature, written, ...stored });
  core.inForce = { ...core.inForce, document: written, effective: written };
  if (found.forced) showForced(core, generation);
}

/** Where there never was a document, the seed becomes it. A seed that cannot be used or copied is logged. */
export async function copySeed(
  core: Core,
  paths: { readonly seed: string | null; readonly desired: string },
): Promise<void> {
  const { seed, desired } = paths;
  if (seed === null || (await readDocumentFile(desired, LARGEST_DOCUMENT)).kind !== 'missing') return;
  const file = await readFileOf(core, seed);
  if (file.kind === 'missing') return;
  try {
    if (file.kind !== 'text') throw new Error(file.kind === 'moving' ? 'it is being written' : file.message);
    const judged = await judge(core, file);
    if (!judged.ok && judged.reason !== null) {
      if (isPassing(judged.reason)) core.unjudged = judged.error.message;
      core.stand('DocumentRefused', seed, judged.error.message);
      throw new Error(judged.error.message);
    }
    core.unjudged = null;
    core.stand('DocumentRefused', seed, null);
    await makeDirectory(dirname(desired), 0o777);
    if (file.signature !== null) await createFile(signatureFile(desired), `${file.signature}\n`);
    await createFile(desired, file.text);
    core.log.info({ seed, desired }, 'the seed was copied');
  } catch (error) {
    core.log.error({ err: error, seed, desired }, 'the seed cannot be copied');
  }
}

/**
 * Leaves the document for the one before it, until the boot ends: the runtime has ended again and again on it. What consoles
 * have said since stays, over the earlier one. Without an earlier one everything stays as it is.
 */
export async function giveUp(core: Core): Promise<void> {
  const { lay } = await import('./in-force.ts');
  const since = core.generations.list().filter(({ generation }) => generation <= core.stored);
  const blamed = since.findLast(({ kind }) => kind !== 'console');
  const given = blamed === undefined ? null : await core.generations.read(blamed.generation);
  const previous = given === null ? null : await newestUnderstood(core, given.generation - 1);
  if (given === null || previous === null || typeof previous === 'string') {
    core.log.error(
      { generation: core.stored },
      'there is no earlier generation to go back to: this one stays in force',
    );
    return;
  }
  const { generation: newest } = core.store.get();
  const left = since.filter(({ generation }) => generation >= given.generation).map(({ generation }) => generation);
  core.refused = [...new Set([...core.refused, ...left])];
  // Where documents are signed no console has changed any: another tree than the text's is somebody else's work.
  const changed = core.admission.keys === null ? differences(given.tree, core.written.tree) : [];
  const said = changed.map((field) => ({
    ...{ ...field, origin: 'console', command: 'patch' },
    generation: core.stored,
  }));
  const { text, endMark, signature, generation, lock, besides } = previous;
  const { effective, configured, overlay } = core.inForce;
  const stored = core.stored;
  setWritten(core, { text, endMark, signature, written: previous });
  Object.assign(core, { stored: generation, lock, storedLock: lock, besides });
  const inForce = lay(previous, addFields(said, overlay), effective, newest, configured);
  show(core, inForce, inForce.overlay.length > 0 ? core.highest : generation, goodDocument(generation), lock);
  await explainOlder(core, stored);
  await saveBoot(core);
}
