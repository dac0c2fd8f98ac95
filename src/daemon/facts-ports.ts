// Paths of the sockets that the runtime itself listens on.
import { parseAddress } from '../console/protocol/address.ts';
import { launcherProgram } from '../installation.ts';
import type { FactsPorts } from '../preflight/host-facts.ts';
import type { Configuration } from '../config/configuration.ts';

/** Those of its consoles and of its metrics. */
function ownSockets({ console: listeners, metrics }: Pick<Configuration, 'console' | 'metrics'>): string[] {
  const all = [...listeners, ...(metrics === null ? [] : [metrics])];
  return all.flatMap(({ listen }) => {
    const address = parseAddress(listen);
    return address.kind === 'unix' ? [address.path] : [];
  });
}

/** What a look ahead is told of the runtime itself. */
export function factsPorts(config: Configuration): FactsPorts {
  const { socketDir, dataDir, snapshot: bounds } = config;
  return { socketDir, ownSockets: ownSockets(config), data: { dataDir, program: launcherProgram(), bounds } };
}
