// One round of a measurement over the console: the end of a container, and what it wrote of its first instruction.
import type { Client } from '../../src/console/client.ts';

/** Resolves when a container (name:version) has ended. Call it before what makes it start. */
export async function onceEnded(client: Client, container: string): Promise<void> {
  for await (const notification of client.notifications()) {
    if (typeof notification === 'object' && 'exit' in notification && notification.exit[0] === container) return;
  }
  throw new Error(`the console ended the connection before ${container} ended`);
}

/** The CLOCK_MONOTONIC ns that the newest start of a container has written (the probe's `stamp`). */
export async function stampOf(client: Client, name: string): Promise<bigint> {
  await client.call('logs', { name, since: null, follow: false });
  let last: string | null = null;
  for await (const notification of client.notifications()) {
    if (typeof notification !== 'object') continue;
    if ('log' in notification) last = notification.log.line;
    if ('log_end' in notification) break;
  }
  if (last === null) throw new Error(`${name} has written no stamp`);
  return BigInt(last);
}
