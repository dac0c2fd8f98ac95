// What a start finds of a trial: counted before anything is put into force.
import { isPassing, judge } from './admission.ts';
import { show, showForced, type Core } from './core.ts';
import type { Staged } from './staged.ts';
import type { Generation } from './generation.ts';
import { keepEnd, keepTrial, targetOf, showTrial } from './stage-document.ts';
import { messageOf, errnoOf } from '../errno.ts';
import { strictest, type TrialTerms } from '../trial/terms.ts';
import { atStart, revert } from '../trial/transitions.ts';
import { isUnderWay, type TrialRecord } from '../trial/trial-record.ts';

/** Gives up to which generation one may be put into force; `newest` is the newest that is stored. */
export async function startTrial(core: Core, newest: number): Promise<number> {
  await readQuarantine(core);
  const read = await readTrial(core, newest);
  if (read === 'unread') return (await core.generations.read(newest))?.trial ?? newest;
  const newestDocument = core.generations.list().findLast(({ kind }) => kind !== 'console')?.generation ?? 0;
  const { next, upTo } = atStart(read, newest, core.moment(), newestDocument);
  const target = isUnderWay(next) ? await core.generations.read(next.confirmed) : null;
  if (target !== null) Object.assign(core, targetOf(target.desired, target.lock));
  if (next === read) {
    core.trial = read;
    showTrial(core);
    return upTo;
  }
  const why = await (isUnderWay(next) ? keepTrial(core, next) : keepEnd(core, next, newest));
  if (next === null) return upTo;
  core.log.warn(
    { generation: next.generation, boots: next.boots, most: next.terms.boots },
    'a reboot has interrupted a trial',
  );
  core.tell(next.state);
  if (next.state !== 'active' || why === null) return upTo;
  const message = `the boot cannot be counted: ${why}`;
  const back = revert(next, { reason: 'NotCounted', message, time: core.now(), entries: [] });
  await keepTrial(core, back);
  core.log.error({ generation: next.generation, reason: message }, 'the document on trial goes back');
  return next.confirmed;
}

/** What is kept of the trial. One that is not understood is one that has failed, where the newest generation is of a trial. */
async function readTrial(core: Core, newest: number): Promise<TrialRecord | 'unread' | null> {
  const { trials, log, generations } = core;
  try {
    const found = await trials.read();
    core.stand('Unreadable', trials.path, null);
    return found;
  } catch (error) {
    const reason = messageOf(error);
    log.error({ path: trials.path, reason }, 'the record of the trial cannot be read');
    if (errnoOf(error) !== null) {
      core.stand('Unreadable', trials.path, `${reason}; it is read again`);
      core.failed();
      return 'unread';
    }
    const last = await generations.read(newest);
    return last === null || last.trial === null ? null : lostRecord(core, last, last.trial, reason);
  }
}

function lostRecord(
  core: Core,
  { generation, desired, time }: Generation,
  confirmed: number,
  reason: string,
): TrialRecord {
  const terms: TrialTerms = strictest([desired.trial, core.configuredTrial]) ?? {
    confirm: 'health',
    soak: 0,
    within: 1,
    boots: 0,
  };
  const message = `the record of the trial is not understood: ${reason}`;
  return {
    ...{ state: 'reverting', confirmed, generation, terms, since: time, boots: 0 },
    ...{ boot: { id: '', at: 0 }, asked: [], before: null, dropped: [] },
    cause: { reason: 'RecordLost', message, time: core.now(), entries: [] },
  };
}

async function readQuarantine(core: Core): Promise<void> {
  const { quarantines, store } = core;
  try {
    const found = await quarantines.read();
    core.quarantine = found;
    core.stand('Unreadable', quarantines.path, null);
    if (found.length > 0 || store.get().quarantine.length > 0)
      store.update((draft) => void (draft.quarantine = [...found]));
  } catch (error) {
    core.stand('Unreadable', quarantines.path, messageOf(error));
    if (errnoOf(error) !== null) core.failed();
  }
}

/** What of a trial a start goes on with, once the document is in force: what is staged, and what the file holds of a refused one. */
export async function resumeTrial(core: Core): Promise<void> {
  const { trial, generations } = core;
  if (!isUnderWay(trial) || trial.state === 'active') return;
  const found = await generations.read(trial.generation);
  if (found === null) {
    const message = 'the document on trial cannot be read';
    core.log.error({ generation: trial.generation }, message);
    const back = revert(trial, { reason: 'RecordLost', message, time: core.now(), entries: [] });
    if (generations.unread(trial.generation) === null) await keepTrial(core, back);
    return;
  }
  // The file holds it, and that is no new edit.
  if (found.besides === null) Object.assign(core, { onDisk: found.text, onDiskSignature: found.signature });
  else core.besides = found.besides;
  if (trial.state !== 'staged') return;
  const { generation, text, endMark, tree, desired, kind, origin, besides, signature, lock, forced } = found;
  const staged = { generation, text, endMark, tree, desired, kind, origin, besides, signature, lock, forced };
  core.staged = core.admission.keys === null ? staged : await stagedBySignature(core, staged, trial);
  if (forced) showForced(core, generation);
  showTrial(core);
  show(core, core.inForce, core.store.get().generation, core.store.get().document);
}

/** Where documents must be signed the text alone says what is staged, as long as it counts. */
async function stagedBySignature(core: Core, staged: Staged, trial: TrialRecord): Promise<Staged | null> {
  const judged = await judge(core, { text: staged.text, signature: staged.signature ?? null }, true);
  if (judged.ok) return { ...staged, tree: judged.tree, desired: judged.desired };
  const { message } = judged.error;
  core.log.error({ generation: staged.generation, reason: message }, 'what is staged does not count');
  // While nothing can be judged the document in force cannot be either: all of it is read again.
  if (isPassing(judged.reason)) core.failed();
  else await keepTrial(core, revert(trial, { reason: 'RecordLost', message, time: core.now(), entries: [] }));
  return null;
}
