// One round of a measurement over the console: the end of a container, and what it wrote of its first instruction.
import type { Client } from '../../src/console/client.ts';

/** Resolves when a container (name:version) has ended. Call it before what makes it start. */
export async function onceEnded(client: Client, container: string): Promise<void> {
  for await (const notification of client.notifications()) {
    if (typeof notification === 'object' && 'exit' in notification && notification.exit[0] === container) return;
  }
  throw new Error(`the console ended the connection before ${container} ended`);
}

/** The lines that are kept of a container's output. */
export async function linesOf(client: Client, name: string): Promise<string[]> {
  await client.call('logs', { name, since: null, follow: false });
  const lines: string[] = [];
  for await (const notification of client.notifications()) {
    if (typeof notification !== 'object') continue;
    if ('log' in notification) lines.push(notification.log.line);
    if ('log_end' in notification) break;
  }
  return lines;
}

/** The CLOCK_MONOTONIC ns that the newest start of a container has written (the probe's `stamp`). */
export async function stampOf(client: Client, name: string): Promise<bigint> {
  const last = (await linesOf(client, name)).at(-1);
  if (last === undefined) throw new Error(`${name} has written no stamp`);
  return BigInt(last);
}
