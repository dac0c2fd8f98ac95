// What is in force when the runtime starts, before the file is looked at; and going back to an earlier generation.
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { BootFile, BootState } from './boot-state.ts';
import type { Built } from '../schema/build-desired.ts';
import { saveBoot, setWritten, show, type Core, type Log } from './core.ts';
import { keptLock, type Lock } from './lock.ts';
import { emptyDesired, type Configured } from '../desired.ts';
import { readDocumentFile } from '../file/document-file.ts';
import { SCHEMA, type Generation, type Generations } from './generations.ts';
import { createParser } from './parser.ts';
import type { Store } from '../store.ts';
import { isMap } from '../text/tree.ts';
import { createFile } from '../file/write-file.ts';
import { LARGEST_DOCUMENT } from './parsed-document.ts';
import { noPlace, badDocument, goodDocument } from '../status.ts';

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
}

/** Puts the newest stored generation that is understood and was not given up into force, the boot's overlay over it. */
export async function openCore(
  options: CoreOptions,
  generations: Generations,
  boot: { readonly state: BootState; readonly file: BootFile },
): Promise<Core> {
  const { store, log, runtime, now = Date.now, configured, desired: path } = options;
  const { refused, lock: bootLock } = boot.state;
  const parser = createParser(configured);
  const empty = emptyDocument(configured);
  const none: Lock = new Map();
  const newest = generations.list().at(-1)?.generation ?? 0;
  const core: Core = {
    ...{ store, log, parser, generations, boot: boot.file, runtime, now, refused, path },
    inForce: { document: empty, overlay: [], effective: empty, configured },
    highest: Math.max(newest, boot.state.generation),
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
    ...{ onDisk: null, unreadable: null, pending: [] },
  };
  const found = await newestUnderstood(core, newest);
  if (found !== null) putInForce(core, found);
  if (boot.state.overlay.length > 0) {
    const { lay } = await import('./in-force.ts');
    core.inForce = lay(core.written, boot.state.overlay, null, boot.state.generation, configured);
  }
  const generation = core.inForce.overlay.length > 0 ? core.highest : core.stored;
  show(core, core.inForce, generation, goodDocument(core.stored), new Map([...core.lock, ...bootLock]));
  core.bootLock = keptLock(bootLock, core.written, core.inForce.effective);
  core.onDisk = found?.text ?? null;
  if (newest > core.stored) await explainOlder(core, newest);
  return core;
}

/** A file that still holds the generation that was left aside is not taken for a new document. */
async function explainOlder(core: Core, newest: number): Promise<void> {
  const given = core.refused.includes(newest);
  const message = given
    ? `generation ${newest} ended the runtime again and again; generation ${core.stored} is in force`
    : `generation ${newest} is not understood by this version of the runtime; generation ${core.stored} is in force`;
  const left = await core.generations.read(newest);
  core.onDisk = left?.text ?? core.onDisk;
  core.besides = left?.besides ?? core.besides;
  show(core, core.inForce, core.store.get().generation, badDocument(core.store.get().document, noPlace(message)));
  core.log.warn({ generation: core.stored, newest }, 'an earlier generation is in force');
}

async function newestUnderstood(core: Core, highest: number): Promise<Generation | null> {
  const candidates = core.generations
    .list()
    .filter(({ generation }) => generation <= highest && !core.refused.includes(generation));
  for (const { generation } of candidates.toReversed()) {
    const stored = await core.generations.read(generation);
    if (stored === null) continue;
    if (stored.runtime === core.runtime && stored.schema === SCHEMA && isAlone(core, stored)) return stored;
    // Stored by another version or beside other repositories of the configuration: only its text counts.
    const parsed = await core.parser.parse(stored.text);
    if (parsed.ok) return { ...stored, tree: parsed.tree, desired: parsed.desired };
    core.log.warn({ generation, ...parsed.error }, 'a stored generation is not understood');
  }
  return null;
}

/** Whether what is stored says only what the document says, and the configuration adds nothing to it. */
function isAlone({ inForce }: Core, { tree, desired }: Generation): boolean {
  const own = isMap(tree) ? tree.get('repositories') : undefined;
  return inForce.configured.size === 0 && desired.repositories.size === (isMap(own) ? own.size : 0);
}

function putInForce(core: Core, { text, endMark, generation, tree, desired, besides, lock }: Generation): void {
  const written = { tree, desired };
  Object.assign(core, { text, endMark, stored: generation, written, besides, lock, storedLock: lock });
  core.inForce = { ...core.inForce, document: written, effective: written };
}

/** Where there never was a document, the seed becomes it. A seed that cannot be used or copied is logged. */
export async function copySeed(
  core: Core,
  paths: { readonly seed: string | null; readonly desired: string },
): Promise<void> {
  const { seed, desired } = paths;
  if (seed === null || (await readDocumentFile(desired, LARGEST_DOCUMENT)).kind !== 'missing') return;
  const file = await readDocumentFile(seed, LARGEST_DOCUMENT);
  if (file.kind === 'missing') return;
  try {
    if (file.kind !== 'text') throw new Error(file.kind === 'moving' ? 'it is being written' : file.message);
    await mkdir(dirname(desired), { recursive: true });
    await createFile(desired, file.text);
    core.log.info({ seed, desired }, 'the seed was copied');
  } catch (error) {
    core.log.error({ err: error, seed, desired }, 'the seed cannot be copied');
  }
}

/** Leaves a generation that ended the runtime again and again for the one before it, until the boot ends. */
export async function giveUp(core: Core, generation: number): Promise<void> {
  const { adoptDocument, lay } = await import('./in-force.ts');
  core.refused = [...new Set([...core.refused, generation])];
  const kept = core.inForce.overlay.filter((field) => field.generation !== generation);
  if (generation !== core.stored) {
    const { document, effective, configured } = core.inForce;
    const inForce = lay(document, kept, effective, core.highest, configured);
    show(core, inForce, kept.length > 0 ? core.highest : core.stored, core.store.get().document);
  } else {
    const previous = await newestUnderstood(core, generation - 1);
    const { text, endMark, lock, besides } = previous ?? { text: '', endMark: false, lock: new Map(), besides: null };
    const written = previous ?? emptyDocument(core.inForce.configured);
    const inForce = adoptDocument({ ...core.inForce, overlay: kept }, written, core.highest);
    setWritten(core, { text, endMark, written });
    Object.assign(core, { stored: previous?.generation ?? 0, lock, storedLock: lock, besides });
    show(core, inForce, core.stored, goodDocument(core.stored), lock);
    await explainOlder(core, generation);
  }
  await saveBoot(core);
}
