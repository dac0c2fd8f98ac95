// What a package on a server is, and how much of it would be fetched, before anybody asks for it.
import type { Logger } from 'pino';
import type { OpenRemote } from '../../controllers/repositories/repositories-act.ts';
import { containerId } from '../../state/container-id.ts';
import { isRemote } from '../../state/source.ts';
import type { Store } from '../../state/store.ts';
import { RuntimeError, type RemoteSource } from './runtime.ts';

export interface SourcePorts {
  readonly store: Store;
  readonly openRemote: OpenRemote;
  readonly log: Pick<Logger, 'info'>;
}

/** ms after which a server is not waited for any more. */
const patience = 60_000;

/** Asks the server. Rejects with RuntimeError, FetchError or PackageError. */
export async function lookAtSource(source: string, { store, openRemote, log }: SourcePorts): Promise<RemoteSource> {
  if (!isRemote(source) || !URL.canParse(source))
    throw new RuntimeError('invalid_source', `${source} is no address (https://…)`, { source });
  const signal = AbortSignal.timeout(patience);
  const open = async (donors: readonly string[]) => await openRemote(new URL(source), { donors, signal, log });
  const first = await open([]);
  try {
    const { name, version } = await first.inspect();
    const container = containerId(name, version);
    const donors = (store.get().observed.packages.get(name) ?? []).map(({ path }) => path);
    if (donors.length === 0) return { container, size: first.size, fetch: first.size };
    const second = await open(donors);
    try {
      return { container, size: second.size, fetch: await second.estimate() };
    } finally {
      await second.close();
    }
  } finally {
    await first.close();
  }
}
