// Back to the confirmed document: put into force first, then made durable step by step; each step may be gone through again.
import type { Operation } from 'fast-json-patch';
import { saveBoot, setUnsure, setWritten, show, storeGeneration, storeLock, type Core } from './core.ts';
import { hashText, type Generation } from './generation.ts';
import { lay, inPlaceOf, patchDocument, type InForce } from './in-force.ts';
import { differences, fieldAt, type Difference, type OverlayField } from './overlay.ts';
import { newestUnderstood, revertOrigin } from './open-core.ts';
import { writeSignature } from './read-signed.ts';
import { keepQuarantine } from './keep-quarantine.ts';
import { NoTrial } from './refusals.ts';
import { keepEnd, keepTrial } from './stage-document.ts';
import { besideItsFile, type FileOptions } from './synchronise.ts';
import { LARGEST_DOCUMENT } from './parsed-document.ts';
import { messageOf } from '../errno.ts';
import { metadataOf } from '../metadata.ts';
import { goodDocument, notWritable } from '../status.ts';
import { toJson } from '../store.ts';
import { parsePointer } from '../text/pointer.ts';
import type { Tree, TreeChange } from '../text/tree.ts';
import { addQuarantine, lockDigests, treeDigest, type Quarantined } from '../trial/quarantine.ts';
import { finishRevert, revert } from '../trial/transitions.ts';
import type { Cause, TrialRecord } from '../trial/trial-record.ts';

/** Files FILE.reverted-N that are kept. */
const keptFiles = 5;

/** Begins a revert: what cannot be kept of it now does not hold it up. Throws NoTrial. */
export async function beginRevert(core: Core, options: FileOptions, cause: Cause): Promise<void> {
  const next = core.trial === null ? null : revert(core.trial, cause);
  if (next === null) throw new NoTrial(core.trial, 'revert');
  core.isBack = false;
  await keepTrial(core, next);
  const { generation, confirmed } = next;
  core.log.error(
    { generation, confirmed, reason: cause.reason, error: cause.message },
    'the document on trial goes back',
  );
  core.tell('reverting');
  await carryOutRevert(core, options);
}

/** All of a revert but that what runs has come to it. What cannot be read or written now is tried again. */
export async function carryOutRevert(core: Core, options: FileOptions): Promise<void> {
  const record = core.trial;
  if (record?.state !== 'reverting') return;
  core.staged = null;
  const failed = await core.generations.read(record.generation);
  await quarantineFailed(core, record, failed);
  if (isBack(core, record)) {
    core.isBack = true;
    await restoreFile(core, options, record, core.text);
    return;
  }
  await storeLock(core);
  const target = await newestUnderstood(core, record.confirmed);
  if (target === null || typeof target === 'string') {
    core.log.error({ generation: record.confirmed }, 'the confirmed generation cannot be read: it is tried again');
    core.failed();
    return;
  }
  const generation = ++core.highest;
  const patched = await laidOver(core, target, record, generation);
  const { inForce, text } = patched;
  const written = inForce.document;
  const { pending } = core;
  core.pending = [];
  const { endMark, signature } = target;
  setWritten(core, { text, endMark, written, signature });
  core.isBack = true;
  show(core, inForce, generation, goodDocument(generation), target.lock);
  core.log.warn(
    { generation, confirmed: record.confirmed, dropped: patched.dropped },
    'the confirmed document is in force again',
  );
  await keepTrial(core, { ...record, dropped: [...new Set([...record.dropped, ...patched.dropped])] });
  const { besides, why } = await restoreFile(core, options, record, text, target.besides);
  if (why !== null) show(core, core.inForce, generation, notWritable(goodDocument(generation), why));
  const made = {
    generation,
    kind: 'apply',
    origin: revertOrigin,
    text,
    endMark,
    written,
    besides,
    signature,
  } as const;
  await storeGeneration(core, made);
  setUnsure(core, { document: null });
  await saveBoot(core);
  for (const { done } of pending) done.resolve(core.generations.lacks(generation));
}

/** What runs has come to the confirmed document, which was seen in that generation; nothing is done when another is in force by now. */
export async function endRevert(core: Core, generation: number): Promise<void> {
  if (!core.isBack || core.store.get().generation !== generation) return;
  const next = core.trial === null ? null : finishRevert(core.trial, core.trial.dropped);
  if (next === null) return;
  await keepEnd(core, next);
  core.tell('reverted');
}

/** Whether the generation that the revert makes is stored and in force. */
function isBack({ stored, origin }: Core, { generation }: TrialRecord): boolean {
  return origin === revertOrigin && stored > generation;
}

interface LaidOver {
  readonly inForce: InForce;
  readonly text: string;
  /** Patches of consoles whose entries are no more. */
  readonly dropped: readonly string[];
}

/** The confirmed document with what consoles have said during the trial, where its entry still exists. */
async function laidOver(core: Core, target: Generation, record: TrialRecord, generation: number): Promise<LaidOver> {
  const { configured, overlay, effective } = core.inForce;
  const built = inPlaceOf(core.inForce.document, target, generation);
  const dropped: string[] = [];
  const fits = (pointer: string, command: string): boolean => {
    const found = hasEntry(built.tree, pointer);
    if (!found) dropped.push(`${pointer} (${command})`);
    return found;
  };
  const kept = overlay.filter((field) => isWhole(field) || fits(field.pointer, field.command));
  let inForce = lay(built, kept, effective, generation, configured);
  const changes: TreeChange[] = [];
  const pending = core.pending.flatMap(({ fields }) => fields());
  // No console patches what is signed.
  const patched = core.admission.keys === null ? await patchesOf(core, record) : [];
  for (const field of [...patched, ...pending]) {
    if (!isWhole(field) && !fits(field.pointer, 'patch')) continue;
    try {
      const mark = { generation, origin: 'console', command: 'patch' };
      const made = patchDocument(inForce, [operationOf(field)], mark);
      inForce = made.inForce;
      changes.push(...made.changes);
    } catch (error) {
      dropped.push(`${field.pointer} (${messageOf(error)})`);
    }
  }
  const text = changes.length === 0 ? target.text : await core.parser.splice(target.text, changes, null);
  return { inForce, text, dropped };
}

/** What consoles have patched of each document of the trial. */
async function patchesOf({ generations }: Core, { confirmed }: TrialRecord): Promise<readonly Difference[]> {
  const found: Difference[] = [];
  let document: Generation | null = null;
  let last: Generation | null = null;
  const add = (): void => {
    if (document !== null && last !== null) found.push(...differences(document.tree, last.tree));
    last = null;
  };
  for (const { generation, kind } of generations.list()) {
    if (generation <= confirmed) continue;
    const read = await generations.read(generation);
    if (kind === 'console') last = read ?? last;
    else {
      add();
      document = read;
    }
  }
  add();
  return found;
}

function operationOf({ pointer: path, value }: Difference): Operation {
  return value === undefined ? { op: 'remove', path } : { op: 'add', path, value: toJson(value) };
}

/** An entry that a console has made, and not a field of one. */
function isWhole({ pointer, value }: Pick<OverlayField, 'pointer' | 'value'>): boolean {
  return value !== undefined && parsePointer(pointer).length === 2;
}

function hasEntry(tree: Tree, pointer: string): boolean {
  return fieldAt(tree, parsePointer(pointer).slice(0, 2)) !== undefined;
}

/** The document, and the packages of the entries that are to blame, but for those that the confirmed one has as well. */
async function quarantineFailed(
  core: Core,
  { cause, confirmed, generation }: TrialRecord,
  failed: Generation | null,
): Promise<void> {
  if (failed === null || cause === null) return;
  const { reason, message, time, entries } = cause;
  const target = await core.generations.read(confirmed);
  const good = new Set([...(target?.lock.values() ?? [])].map(({ digest }) => digest));
  const common = { serial: metadataOf(failed.tree).serial, reason, message, time };
  const packages = entries.flatMap((key): Quarantined[] => {
    const locked = failed.lock.get(key) ?? core.store.get().lock.get(key);
    const entry = failed.desired.containers.get(key);
    const packageDigest = locked?.digest ?? null;
    if (locked === undefined || packageDigest === null || entry === undefined || good.has(packageDigest)) return [];
    return [{ kind: 'package', digest: packageDigest, name: `${entry.name}:${locked.version}`, lock: {}, ...common }];
  });
  const digest = treeDigest(failed.tree);
  const document: Quarantined = {
    kind: 'document',
    digest,
    name: `generation ${generation}`,
    lock: lockDigests(failed.lock),
    ...common,
  };
  await keepQuarantine(core, addQuarantine(core.quarantine, [document, ...packages]));
}

/** Gives the file the text of the confirmed document, and leaves the refused one beside it. An edit that nobody has seen yet stays. */
async function restoreFile(
  core: Core,
  options: FileOptions,
  { generation }: TrialRecord,
  text: string,
  passedOver: string | null = null,
): Promise<{ readonly besides: string | null; readonly why: string | null }> {
  const { files } = core;
  const file = await files.read(options.path, LARGEST_DOCUMENT);
  if (file.kind !== 'text') {
    const why = file.kind === 'missing' || file.kind === 'moving' ? null : file.message;
    return { besides: file.kind === 'missing' ? '' : null, why };
  }
  if (file.text === text) {
    core.onDisk = text;
    return { besides: null, why: null };
  }
  if (file.text !== core.onDisk) return { besides: null, why: null };
  if (hashText(file.text) === passedOver)
    return { besides: passedOver, why: besideItsFile(options.path, core.highest) };
  try {
    await files.leave(`${file.target}.reverted-${generation}`, file.text);
    if (core.signature !== null) await writeSignature(options.path, core.signature, options);
    core.onDiskSignature = core.signature ?? undefined;
    const saved = await files.replace(file, text, options);
    // Somebody saved the file in this very moment: that is the next edit.
    if (saved !== null) await files.replace({ ...file, text }, saved, options);
    else core.onDisk = text;
    await pruneReverted(files, file.target);
    return { besides: null, why: null };
  } catch (error) {
    const why = messageOf(error);
    core.log.warn(
      { reason: why, path: options.path },
      'the document cannot be written; the confirmed text is kept in stateDir',
    );
    return { besides: hashText(file.text), why: `${why}: ${besideItsFile(options.path, core.highest)}` };
  }
}

/** The refused texts of the last reverts are kept. */
async function pruneReverted(files: Core['files'], target: string): Promise<void> {
  const numberOf = (path: string): number => Number(/\.reverted-(\d+)$/.exec(path)?.[1] ?? Infinity);
  const ours = (await files.others(target, '.reverted-')).filter((path) => Number.isFinite(numberOf(path)));
  const old = ours.toSorted((a, b) => numberOf(a) - numberOf(b)).slice(0, -keptFiles);
  for (const path of old) await files.remove(path);
}
