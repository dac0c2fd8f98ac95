// What measurements wait for on the console: the end of a container, and what it wrote.
import { connectConsole, type Client } from '../../src/client/console-client.ts';

/** Resolves when a container (name:version) has ended. Call it before what makes it start. */
export async function onceEnded(client: Client, container: string): Promise<void> {
  for await (const notification of client.notifications()) {
    if (typeof notification === 'object' && 'exit' in notification && notification.exit[0] === container) return;
  }
  throw new Error(`the console ended the connection before ${container} ended`);
}

/** The first lines of a container's kept output, and what follows, up to the one that makes it enough. */
export async function linesOf(
  url: string,
  name: string,
  enough: (lines: readonly string[]) => boolean,
): Promise<string[]> {
  const client = await connectConsole(url);
  try {
    await client.call('logs', { name, since: null, follow: true });
    const lines: string[] = [];
    for await (const notification of client.notifications()) {
      if (typeof notification !== 'object') continue;
      if ('log_end' in notification) throw new Error(`${name}: ${JSON.stringify(notification.log_end.error)}`);
      if (!('log' in notification)) continue;
      lines.push(notification.log.line);
      if (enough(lines)) return lines;
    }
    throw new Error(`the console ended the connection: ${name} has written ${lines.join(', ')}`);
  } finally {
    client.close();
  }
}
