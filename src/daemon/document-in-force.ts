// The document that this reconciler works on: opened, given up when reconcilers die on it, and made known to the launcher.
import type { Tell } from '../../controllers/events.ts';
import { bootTime } from '../../native/clock.ts';
import { exchange } from '../../native/file.ts';
import { copyAttributes } from '../../native/xattr.ts';
import { openDocuments, type Documents } from '../../state/document/documents.ts';
import type { Stand } from '../../state/standing.ts';
import type { Store } from '../../state/store.ts';
import type { Configuration } from '../config/configuration.ts';
import { admissionOf } from './document-keys.ts';
import type { Log } from '../logs/log.ts';
import { runtimeVersion } from '../runtime-version.ts';
import { notePatches } from './state-form.ts';
import type { Launcher, Remembered } from '../../native/wire/launcher-interface.ts';

/** Deaths of the reconciler on one generation after which the one before is taken. */
const deathsUntilFallback = 5;

export interface DocumentInForcePorts {
  readonly config: Pick<
    Configuration,
    'desired' | 'seed' | 'stateDir' | 'passing' | 'runDir' | 'repositories' | 'documentKeys' | 'compatible' | 'trial'
  >;
  readonly tell: Tell;
  readonly store: Store;
  readonly log: Log;
  readonly stand: Stand;
  /** The boot's id: another one ends what lasts until the boot ends. */
  readonly boot: string;
  readonly launcher: Launcher;
  readonly hello: Remembered['hello'];
  /** Told when the launcher does not take what it is told. */
  readonly failed: (error: unknown) => void;
}

/** Puts the document into force. The launcher always knows which generation is tried, before anything is done about it. */
export async function openDocumentInForce(ports: DocumentInForcePorts): Promise<Documents> {
  const { config, store, log, stand, boot, launcher, hello, failed, tell } = ports;
  const { desired, seed, stateDir, passing = null, runDir, trial } = config;
  const documents = await openDocuments({
    ...{ desired, seed, stateDir, passing, runDir, store, log, stand, exchange, copyAttributes },
    ...{ trial, bootTime, bootId: boot },
    tried(state) {
      const record = store.get().trial?.record;
      if (record === undefined) return;
      const { generation, confirmed, cause } = record;
      const reason = cause === null ? null : `${cause.reason}: ${cause.message}`;
      tell({ type: 'trial', state, generation, confirmed, reason });
    },
    runtime: runtimeVersion,
    announcePatches: () =>
      notePatches(stateDir).catch((err: unknown) => {
        log.warn({ err, stateDir }, 'generations are stored whole: earlier versions cannot be told of others');
        return false;
      }),
    admission: admissionOf(config),
    configured: new Map(config.repositories.map((each) => [each.id, each])),
  });
  if (hello.deaths >= deathsUntilFallback && store.get().generation === hello.generation) {
    log.error(
      { generation: hello.generation, deaths: hello.deaths },
      'generation given up: the reconciler died on it again and again',
    );
    await documents.fallback();
  }
  await launcher.trying(store.get().generation);
  store.subscribe((operations, { generation }) => {
    if (operations.some(({ path }) => path === '/generation')) launcher.trying(generation).catch(failed);
  });
  return documents;
}
