// Paths of the sockets that the runtime itself listens on.
import { parseAddress } from '../console/protocol/address.ts';
import type { Configuration } from '../config/configuration.ts';

/** Those of its consoles and of its metrics. */
export function ownSockets({ console: listeners, metrics }: Pick<Configuration, 'console' | 'metrics'>): string[] {
  const all = [...listeners, ...(metrics === null ? [] : [metrics])];
  return all.flatMap(({ listen }) => {
    const address = parseAddress(listen);
    return address.kind === 'unix' ? [address.path] : [];
  });
}
