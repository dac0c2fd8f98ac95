// A new document on trial: which ones are, what is kept of it, and how it comes into force.
import { castDraft } from 'immer';
import { prepareGeneration, show, showForced, showStatus, storeLock, type Core, type NotDurable } from './core.ts';
import type { GoodDocument } from './parsed-document.ts';
import { lockOf, type Lock } from './lock.ts';
import { putIntoForce, refuse } from './put-into-force.ts';
import { NoTrial } from './refusals.ts';
import type { Staged } from './staged.ts';
import type { Desired } from '../desired.ts';
import { metadataOf } from '../metadata.ts';
import { badDocument, goodDocument } from '../status.ts';
import { sameTree } from '../text/tree.ts';
import { refusedDocument, releaseForSerial } from '../trial/quarantine.ts';
import { strictest, type TrialTerms } from '../trial/terms.ts';
import { activate, confirm, revert, finishRevert, stage } from '../trial/transitions.ts';
import { pruneProblem } from '../trial/prune.ts';
import type { Before, Trial } from '../trial/known-trial.ts';
import { isUnderWay, type TrialRecord } from '../trial/trial-record.ts';

const exact = /^\d+\.\d+\.\d+$/;

/** Keeps the record of the trial, and shows it. Gives why it is not on the disk: what it goes back to must be there first. */
export async function keepTrial(core: Core, record: TrialRecord | null): Promise<NotDurable> {
  const why = await core.trials.write(record, record === null ? null : core.generations.lacks(record.confirmed));
  setTrial(core, record);
  return why;
}

/**
 * The same of a trial that is over: on the disk it is so only when what takes the place of the documents on trial is there. Else
 * another boot would take one of them for confirmed.
 */
export async function keepEnd(core: Core, record: TrialRecord | null, stays = core.stored): Promise<NotDurable> {
  const why = await core.trials.write(record, core.generations.lacks(stays));
  setTrial(core, record);
  return why;
}

/** A record that was kept is the one that counts. */
function setTrial(core: Core, record: TrialRecord | null): void {
  core.trial = record;
  if (core.trials.lacks() !== null) core.failed();
  core.stand('NotDurable', core.trials.path, core.trials.lacks());
  showTrial(core);
}

/** The packages that a document's entries stand for: name:version. */
function packagesOf({ containers }: Desired, lock: Lock): readonly string[] {
  return [...containers.values()].flatMap(({ key, name, state, version: asked }) => {
    const version = lock.get(key)?.version ?? (exact.test(asked ?? '') ? asked : null);
    return state === 'absent' || version === null ? [] : [`${name}:${version}`];
  });
}

/** What a trial goes back to: its packages, and the versions by name. */
export function targetOf(desired: Desired, lock: Lock): Pick<Trial, 'target' | 'before'> {
  return { target: packagesOf(desired, lock), before: versionsOf(desired, lock) };
}

/** What a document has of each container name: the version that runs, else one that is there. */
function versionsOf({ containers }: Desired, lock: Lock): ReadonlyMap<string, Before> {
  const found = new Map<string, Before>();
  const running = [...containers.values()].filter(({ state }) => state === 'running');
  for (const entry of [...running, ...containers.values()]) {
    const version = lock.get(entry.key)?.version ?? (exact.test(entry.version ?? '') ? entry.version : null);
    if (entry.state === 'absent' || version === null || found.has(entry.name)) continue;
    found.set(entry.name, { version, snapshot: entry.persist.snapshot });
  }
  return found;
}

/** Brings the store what is known of the trial. */
export function showTrial(core: Core): void {
  const { trial: record, staged, store } = core;
  const { trial: before, staged: shown } = store.get();
  const desired = staged?.desired ?? null;
  if ((before?.record ?? null) === record && shown === desired) return;
  store.update((draft) => {
    draft.trial = castDraft(
      record === null ? null : { record, waits: null, target: core.target, lacking: [], before: core.before },
    );
    // Frozen, it is not walked through for drafts.
    draft.staged = castDraft(desired === null ? null : Object.freeze(desired));
  });
}

/** What becomes of a new document. `end`: it says what the confirmed one says, and a trial is over with it. */
export type Way =
  { readonly kind: 'adopt' } | { readonly kind: 'end' } | { readonly kind: 'try'; readonly terms: TrialTerms };

/** The first document of all has nothing to go back to; what asks for the same as the one in force has nothing to try. */
export async function wayOf(core: Core, { tree, desired }: Pick<GoodDocument, 'tree' | 'desired'>): Promise<Way> {
  const { trial, staged } = core;
  if (isUnderWay(trial) && (await saysConfirmed(core, tree, trial))) return { kind: 'end' };
  if (staged === null && sameTree(tree, core.written.tree)) return { kind: 'adopt' };
  const terms = await termsFor(core, desired);
  return terms === null || core.stored === 0 ? { kind: 'adopt' } : { kind: 'try', terms };
}

async function saysConfirmed(core: Core, tree: GoodDocument['tree'], { confirmed }: TrialRecord): Promise<boolean> {
  if (core.stored === confirmed) return sameTree(tree, core.written.tree);
  const target = await core.generations.read(confirmed);
  return target !== null && sameTree(tree, target.tree);
}

/** The stricter of what the document, the last confirmed one and the configuration ask for, and of a trial that goes on. */
async function termsFor(core: Core, desired: Desired): Promise<TrialTerms | null> {
  const { trial, configuredTrial, written } = core;
  if (!isUnderWay(trial)) return strictest([desired.trial, written.desired.trial, configuredTrial]);
  const confirmed = core.stored === trial.confirmed ? written : await core.generations.read(trial.confirmed);
  return strictest([desired.trial, confirmed?.desired.trial ?? null, configuredTrial, trial.terms]);
}

/** Why a document is not taken, whoever brings it; null = it is. `prune`: it may stop more than half of what runs. */
export async function refusalOf(
  core: Core,
  parsed: Pick<GoodDocument, 'tree' | 'desired'>,
  prune = false,
): Promise<string | null> {
  const { containers } = parsed.desired;
  const isExact = (key: string): boolean => exact.test(containers.get(key)?.version ?? '');
  const found = refusedDocument(core.quarantine, parsed.tree, isExact);
  if (found !== null)
    return `it was reverted as ${found.name} and is in quarantine: ${found.message} (northstate quarantine release)`;
  if ((await wayOf(core, parsed)).kind !== 'try') return null;
  const lost = [...containers.values()].find(
    ({ state, source, repository }) =>
      state !== 'absent' &&
      source === null &&
      repository !== null &&
      parsed.desired.repositories.get(repository)?.type === 'mem',
  );
  if (lost === undefined)
    return prune || parsed.desired.trial?.prune === true ? null : pruneProblem(core.store.get(), parsed.desired);
  return `${lost.key} comes from the repository ${lost.repository ?? ''} in memory and has no source: after a reboot a trial could not go back`;
}

/** What a document of a higher serial number names again is tried again: by digest, or by its exact version. */
export async function releaseNamed(
  core: Core,
  { tree, desired }: Pick<GoodDocument, 'tree' | 'desired'>,
): Promise<void> {
  const { serial } = metadataOf(tree);
  if (serial === null || core.quarantine.length === 0) return;
  const entries = [...desired.containers.values()];
  const digests = new Set(entries.flatMap(({ digest }) => digest ?? []));
  const ids = new Set(entries.map(({ name, version }) => `${name}:${version ?? ''}`));
  const named = core.quarantine.filter(({ name, digest }) => digests.has(digest) || ids.has(name));
  const kept = releaseForSerial(core.quarantine, serial, new Set(named.map(({ digest }) => digest)));
  if (kept.length === core.quarantine.length) return;
  const { keepQuarantine } = await import('./keep-quarantine.ts');
  await keepQuarantine(core, kept);
}

/** Keeps that a document is on trial, then the document; it is in force when activateStaged() is told that all of it is there. */
export async function stageDocument(core: Core, staged: Omit<Staged, 'generation'>, terms: TrialTerms): Promise<void> {
  const { inPlaceOf } = await import('./in-force.ts');
  await storeLock(core);
  const generation = ++core.highest;
  const now = core.moment();
  const confirmed = core.stored;
  if (!isUnderWay(core.trial)) Object.assign(core, targetOf(core.written.desired, core.store.get().lock));
  core.staged = { ...staged, generation };
  if (staged.forced === true) showForced(core, generation);
  if (core.generations.lacks(confirmed) !== null) await core.generations.settle();
  const next = stage(core.trial, { generation, confirmed, terms }, now);
  await core.trials.write(next, core.generations.lacks(next.confirmed));
  setTrial(core, next);
  show(core, core.inForce, core.store.get().generation, core.store.get().document);
  const { text, endMark, kind, origin, besides, signature, forced = false } = staged;
  const written = inPlaceOf(core.inForce.document, staged, generation);
  const made = { generation, kind, origin, text, endMark, written, besides, signature, forced };
  const store = await prepareGeneration(core, made, { lock: staged.lock ?? new Map() });
  await store(true);
  core.log.info({ generation, origin, confirmed: core.trial?.confirmed }, 'a new document is staged');
  showStatus(core, goodDocument(core.store.get().document.generation));
  core.tell('staged');
}

/**
 * What is staged comes into force: `ready` are the entries that are Ready before it. Gives why not, null = it is in force. What
 * could not be counted over a reboot is not tried, unless a reboot ends it.
 */
export async function activateStaged(core: Core, ready: readonly string[]): Promise<string | null> {
  const { staged, trial } = core;
  if (staged === null || trial?.state !== 'staged') return 'nothing is staged';
  const { inPlaceOf } = await import('./in-force.ts');
  const written = inPlaceOf(core.inForce.document, staged, staged.generation);
  const changed = [...written.desired.containers.values()]
    .filter((entry) => entry.generation > trial.confirmed)
    .map(({ key }) => key);
  const next = activate(trial, changed, ready, core.moment());
  if (next === null) return 'nothing is staged';
  if (core.generations.lacks(trial.confirmed) !== null) await core.generations.settle();
  const why = await core.trials.write(next, core.generations.lacks(trial.confirmed));
  if (why !== null && staged.besides === null) {
    await core.trials.write(trial, core.generations.lacks(trial.confirmed));
    core.failed();
    return `boots cannot be counted: ${why}`;
  }
  setTrial(core, next);
  core.staged = null;
  const { generation, kind, origin, text, endMark, besides, signature, notWritten, lock } = staged;
  const made = { generation, kind, origin, text, endMark, besides, signature };
  const held = { ...(notWritten !== undefined && { notWritten }), ...(lock !== undefined && { lock }) };
  const { document: before } = core.store.get();
  refuse(core, await putIntoForce(core, made, staged, held, false));
  // What the file holds since is refused all the same.
  if (before.status === 'invalid' && before.error !== null)
    showStatus(core, badDocument(core.store.get().document, before.error));
  core.lock = lockOf(core.written, core.store.get(), core);
  Object.assign(core, { stored: generation, besides, origin });
  await storeLock(core);
  showTrial(core);
  core.tell('active');
  return null;
}

/** The document on trial is the confirmed one from here on. Throws NoTrial. */
export async function confirmTrial(core: Core): Promise<NotDurable> {
  const next = core.trial === null ? null : confirm(core.trial);
  if (next === null) throw new NoTrial(core.trial, 'confirm');
  const why = await keepEnd(core, next);
  core.log.info({ generation: next.generation }, 'the document on trial is confirmed');
  core.tell('confirmed');
  return why;
}

/** Somebody has put the confirmed document into force again. */
export async function endTrial(core: Core, origin: string): Promise<void> {
  core.staged = null;
  const message = `${origin} has put the confirmed document into force again`;
  const back =
    core.trial === null ? null : revert(core.trial, { reason: 'Requested', message, time: core.now(), entries: [] });
  if (back === null) return;
  const over = finishRevert(back, []);
  if (over !== null) await keepEnd(core, over);
  core.tell('reverted');
}
