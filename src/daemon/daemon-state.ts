// What the reconciler knows before it looks at anything: the document in force, and what the launcher has remembered.
import { createObserving, type Observing } from '../../controllers/observing.ts';
import { bootId, bootTime } from '../../native/clock.ts';
import type { Documents } from '../../state/document/documents.ts';
import { createStanding, type Stand } from '../../state/standing.ts';
import { createStore, type Store } from '../../state/store.ts';
import type { Configuration } from '../config/configuration.ts';
import type { Log } from '../logs/log.ts';
import { createEvents, type Events } from '../runtime/live-runtime.ts';
import { openDocumentInForce } from './document-in-force.ts';
import { createEnding, type Ending } from './ending.ts';
import { keepGlobal, type GlobalRecordKeeper } from './global-record.ts';
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
  /** Told of what the runtime cannot do at present. */
  readonly stand: Stand;
  readonly observing: Observing;
  readonly events: Events;
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
  const stand = createStanding(store, log);
  const events = createEvents(bootTime);
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
    failed,
  });
  return { store, stand, observing: createObserving(store), events, documents, record, ending, boot };
}
