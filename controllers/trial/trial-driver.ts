// Brings a trial on: whatever changes, it looks at what is asked for, and has the documents put it into force, confirm it or take it
// back. It holds nothing in memory that a successor would miss.
import type { Judgement } from '../../state/trial/transitions.ts';
import { judgeTrial } from '../../state/trial/transitions.ts';
import { isUnderWay, type Cause, type TrialRecord } from '../../state/trial/trial-record.ts';
import type { State, Store } from '../../state/store.ts';
import type { Target } from '../controller.ts';
import { stagedWaits } from './staging.ts';
import { healthOfTrial, readyKeys, type Outcome } from './trial-health.ts';

export interface TrialPorts {
  readonly store: Store;
  readonly documents: {
    activate(ready: readonly string[]): Promise<string | null>;
    confirm(generation: number | null): Promise<unknown>;
    revert(cause: Omit<Cause, 'time'>, generation: number | null): Promise<unknown>;
    reverted(generation: number): Promise<void>;
  };
  readonly reconciler: {
    /** Whether nothing is under way and the status says so. */
    idle(): boolean;
    /** What has become of these entries, of those that there are. */
    outcomesOf(keys: readonly string[]): readonly Outcome[];
    onSettled(listener: () => void): () => void;
  };
  /** What the staged document asks for, its requirements resolved. */
  readonly staged: () => readonly Target[];
  /** Why something of a name cannot be done, for a person; null = nothing is known. */
  readonly why: (name: string) => string | null;
  /** Why what is staged must not be put into force yet; null = it may. */
  readonly gate: () => string | null;
  /** CLOCK_BOOTTIME in ms. */
  readonly now: () => number;
  /** When to call `due` (CLOCK_BOOTTIME in ms); null = at no time. */
  readonly setDeadline: (at: number | null) => void;
  /** Told of what the documents have refused. */
  readonly failed: (error: unknown) => void;
}

export interface TrialDriver {
  /** Looks at once: the deadline has come, or a gate has opened. */
  look(): void;
  /** Whether nothing is being done. */
  idle(): boolean;
  close(): void;
}

/** ms until what was refused is tried again. */
const again = 30_000;

export function createTrialDriver(ports: TrialPorts): TrialDriver {
  const { store, documents, reconciler, now } = ports;
  let working = false;
  let stirred = false;
  let closed = false;

  function look(): void {
    stirred = true;
    if (working || closed) return;
    working = true;
    void turn();
  }

  async function turn(): Promise<void> {
    try {
      while (stirred && !closed) {
        stirred = false;
        await step(store.get());
      }
    } catch (error) {
      ports.failed(error);
    } finally {
      working = false;
    }
  }

  async function step(state: State): Promise<void> {
    const record = state.trial?.record ?? null;
    // Nothing is watched for it any more.
    if (record?.state !== 'staged') ports.gate();
    if (!isUnderWay(record)) {
      ports.setDeadline(null);
      return;
    }
    lackingNow(state);
    if (record.state === 'staged') await bringIn(state);
    else if (record.state === 'reverting') await endRevert(state, record);
    else await judge(state, record);
  }

  async function bringIn(state: State): Promise<void> {
    ports.setDeadline(null);
    const waits = stagedWaits(state, ports.staged(), ports.why) ?? ports.gate();
    if (waits !== null) {
      say(waits);
      return;
    }
    if (!reconciler.idle()) return;
    const why = await documents.activate(readyKeys(state));
    say(why);
    // What the disk does not take now it may take later, and nothing tells of that.
    if (why !== null) ports.setDeadline(now() + again);
  }

  async function judge(state: State, record: TrialRecord): Promise<void> {
    const found = judgement(state, record);
    if (found.next === 'confirm') {
      await documents.confirm(record.generation);
      return;
    }
    if (found.next === 'revert') {
      const { reason, message, entries } = found;
      await documents.revert({ reason, message, entries }, record.generation);
      return;
    }
    // What it waits for is known when nothing is being done: to say that something is would be something that is done.
    if (isSaid(state) || store.get().trial?.waits === null) say(found.waits);
    ports.setDeadline(found.until);
  }

  /** Whether the status says what there is. */
  function isSaid({ status, generation }: State): boolean {
    return reconciler.idle() && status.observedGeneration === generation;
  }

  /** While something is being done nothing is known of health, but time goes on. */
  function judgement(state: State, record: TrialRecord): Judgement {
    const health = isSaid(state)
      ? healthOfTrial(state, record, reconciler.outcomesOf(record.asked))
      : { failed: null, entries: [], missing: 'something is being done', since: null };
    return judgeTrial(record, health, now());
  }

  /** The way back is done when it is in force and what was Ready before is so again. */
  async function endRevert(state: State, { generation, before }: TrialRecord): Promise<void> {
    ports.setDeadline(null);
    if (state.document.generation <= generation) {
      say('the confirmed generation cannot be put into force yet');
      return;
    }
    if (!reconciler.idle() || state.status.observedGeneration !== state.generation) return;
    const unreached = reconciler.outcomesOf(before ?? []).filter(({ result }) => result !== 'converged');
    const [first] = unreached;
    if (first !== undefined) say(first.reason ?? first.key);
    else await documents.reverted(state.generation);
  }

  function say(waits: string | null): void {
    if (store.get().trial?.waits === waits) return;
    store.update(({ trial }) => {
      if (trial !== null) trial.waits = waits;
    });
  }

  /** Packages that a revert needs and that somebody has deleted. */
  function lackingNow({ trial, observed }: State): void {
    if (trial === null) return;
    const there = (id: string): boolean =>
      observed.packages.get(id.slice(0, id.lastIndexOf(':')))?.some((each) => each.id === id) === true;
    const lacking = trial.target.filter((id) => !there(id));
    if (lacking.join() === trial.lacking.join()) return;
    store.update((draft) => {
      if (draft.trial !== null) draft.trial.lacking = lacking;
    });
  }

  const ends = [
    reconciler.onSettled(look),
    store.subscribe((operations) => {
      if (operations.some(({ path }) => path === '/staged' || /^\/trial(?:\/record.*)?$/.test(path))) look();
    }),
  ];
  return {
    look,
    idle: () => !working,
    close() {
      closed = true;
      for (const end of ends) end();
    },
  };
}
