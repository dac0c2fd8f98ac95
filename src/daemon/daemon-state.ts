// What the reconciler knows before it looks at anything: the document in force, and what the launcher has remembered.
import { openTold, type Told } from '../../controllers/containers/told.ts';
import { createObserving, type Observing } from '../../controllers/observing.ts';
import { bootId, bootTime } from '../../native/clock.ts';
import type { Documents } from '../../state/document/documents.ts';
import { createStanding, type Stand } from '../../state/standing.ts';
import { createStore, type Store } from '../../state/store.ts';
import type { Configuration } from '../config/configuration.ts';
import type { Log } from '../logs/log.ts';
import { openWallClock, type WallClock } from './wall-clock.ts';
import { createEvents, firstNumber, mostKept, type Events } from '../runtime/live-runtime.ts';
import { createStatusChanges, type NumberedStatus, type StatusChanges } from '../runtime/status-changes.ts';
import { openDocumentInForce } from './document-in-force.ts';
import { createEnding, type Ending } from './ending.ts';
import { keepGlobal, type GlobalRecordKeeper } from './global-record.ts';
import { keptMemory, openKeptValue } from './kept-value.ts';
import type { LauncherLink } from './launcher-link.ts';

/** What the parts of the daemon are given. */
export interface Daemon {
  readonly config: Configuration;
  readonly log: Log;
  readonly link: LauncherLink;
  /** Told of what cannot be gone on from. */
  readonly failed: (error: unknown) => void;
}

export interface DaemonState {
  readonly store: Store;
  readonly clock: WallClock;
  /** Told of what the runtime cannot do at present. */
  readonly stand: Stand;
  readonly observing: Observing;
  readonly events: Events;
  readonly changes: StatusChanges;
  readonly told: Told;
  /** A file in memory by its name, which outlives this process. */
  readonly memory: (name: string) => Promise<number>;
  readonly documents: Documents;
  readonly record: GlobalRecordKeeper;
  readonly ending: Ending;
  /** The boot's id: another one ends what lasts until the boot ends. */
  readonly boot: string;
}

/** Puts the document into force. Rejects when stateDir cannot be used, or with what the launcher says. */
export async function openState({ config, log, link, failed }: Daemon): Promise<DaemonState> {
  const { launcher, remembered } = link;
  const boot = bootId();
  const store = createStore();
  const memory = (name: string): Promise<number> => keptMemory(name, { kept: remembered.descriptors, launcher });
  const base = openKeptValue<NumberedStatus>(await memory('status'));
  const fd = await memory('changes');
  const changes = createStatusChanges({ store, fd, base, first: firstNumber(bootTime), most: mostKept });
  const clock = openWallClock(openKeptValue<number>(await memory('clock')));
  store.update((draft) => void (draft.clock = { boot, distance: clock.distance() }));
  const events = createEvents(bootTime, clock.text, await memory('events'));
  const told = openTold(await memory('told'), Math.min(...remembered.attempts.map(({ id }) => id), Infinity));
  // The last one may have been told by a process that could not note it any more.
  for (const { of } of events.past.since(events.past.last() - 1) ?? []) if (of !== undefined) told.add(of);
  const stand = createStanding(store, log, () => clock.text(bootTime()));
  const record = keepGlobal(remembered.global, launcher, failed);
  const ending = createEnding(record, events.tell);
  const documents = await openDocumentInForce({
    config,
    store,
    log,
    stand,
    boot,
    launcher,
    hello: remembered.hello,
    tell: events.tell,
    failed,
  });
  const observing = createObserving(store);
  return { store, stand, clock, observing, events, changes, told, memory, documents, record, ending, boot };
}
