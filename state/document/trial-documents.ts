// What is done about a document on trial, one thing at a time with all that touches the document.
import type { Core, NotDurable } from './core.ts';
import { NoTrial } from './refusals.ts';
import { activateStaged, confirmTrial } from './stage-document.ts';
import type { FileOptions } from './synchronise.ts';
import { release } from '../trial/quarantine.ts';
import { isUnderWay, lastConfirmed, type Cause } from '../trial/trial-record.ts';

/**
 * Gives the disk what it has not taken: that something is on trial after what it goes back to and before what is on trial, and that a
 * trial is over after what takes its place. False = not all of it yet.
 */
export async function settleTrial({ generations, trial, trials, stored }: Core): Promise<boolean> {
  const isStored = await generations.settle();
  if (trials.lacks() === null) return isStored;
  const first = isUnderWay(trial) ? trial.confirmed : stored;
  if (generations.lacks(first) !== null) return false;
  await trials.settle();
  return trials.lacks() === null && (await generations.settle());
}

/** The doors to trials. `generation`: which one is meant; null = whichever is on trial. */
export interface TrialDocuments {
  /** The newest stored generation that is confirmed; 0 = there is none. */
  lastConfirmed(): number;
  /** What is staged comes into force; `ready` are the entries that are Ready now. Gives why not yet, null = it is in force. */
  activate(ready: readonly string[]): Promise<string | null>;
  /** Confirms what is on trial. Rejects with NoTrial. */
  confirm(generation: number | null): Promise<{ readonly generation: number; readonly notDurable: NotDurable }>;
  /** Takes what is on trial back; the confirmed document is in force when this resolves. Rejects with NoTrial. */
  revert(
    cause: Omit<Cause, 'time'>,
    generation: number | null,
  ): Promise<{ readonly generation: number; readonly notDurable: NotDurable }>;
  /** What runs has come to the confirmed document, as it is in that generation of all. */
  reverted(generation: number): Promise<void>;
  /** Takes out of quarantine by digest or name; null = everything. Gives the names of what that was. */
  release(which: string | null): Promise<readonly string[]>;
}

export function createTrialDocuments(
  core: Core,
  file: FileOptions,
  enqueue: <T>(work: () => Promise<T>) => Promise<T>,
): TrialDocuments {
  const expect = (generation: number | null, what: 'confirm' | 'revert'): void => {
    if (generation === null || (isUnderWay(core.trial) && core.trial.generation === generation)) return;
    throw new NoTrial(core.trial, what);
  };
  return {
    lastConfirmed: () => lastConfirmed(core.trial, core.generations.list().at(-1)?.generation ?? 0),
    activate: (ready) => enqueue(() => activateStaged(core, ready)),
    confirm: (generation) =>
      enqueue(async () => {
        expect(generation, 'confirm');
        const notDurable = await confirmTrial(core);
        return { generation: core.store.get().generation, notDurable };
      }),
    revert: (cause, generation) =>
      enqueue(async () => {
        expect(generation, 'revert');
        const { beginRevert } = await import('./revert-document.ts');
        await beginRevert(core, file, { ...cause, time: core.now() });
        return { generation: core.store.get().generation, notDurable: core.generations.lacks(core.stored) };
      }),
    reverted: (generation) =>
      enqueue(async () => {
        const { endRevert } = await import('./revert-document.ts');
        await endRevert(core, generation);
      }),
    release: (which) =>
      enqueue(async () => {
        const kept = release(core.quarantine, which);
        const gone = core.quarantine.filter((each) => !kept.includes(each)).map(({ name }) => name);
        const { keepQuarantine } = await import('./keep-quarantine.ts');
        if (gone.length > 0) await keepQuarantine(core, kept);
        return gone;
      }),
  };
}
