// The commands of Northstar's nstar that only ask, under its names: list, repositories, ident, notifications, token, ...
import { containerOf, say, withConsole, type ConsoleOptions } from './console.ts';
import { printable, render, table, type Format } from './output.ts';
import { splitContainerId } from '../../state/container-id.ts';

/** list: name:version of every installed package; a table with what it does, on a terminal. */
export async function list({ output, ...options }: ConsoleOptions & { readonly output?: Format }): Promise<void> {
  await withConsole(options, async (client) => {
    const ids = (await client.list()).toSorted();
    if (options.json === true) return;
    if (output === 'json' || output === 'yaml') {
      process.stdout.write(await render(ids, output));
      return;
    }
    if (!process.stdout.isTTY) {
      process.stdout.write(ids.map((id) => `${id}\n`).join(''));
      return;
    }
    const { containers } = await client.status();
    const rows = ids.map((id) => {
      const { name, version } = splitContainerId(id);
      const found = containers[id] ?? (containers[name]?.version === version ? containers[name] : undefined);
      return [name, version ?? '', found?.repository ?? '-', found?.phase ?? 'Installed', String(found?.pid ?? '-')];
    });
    const header = ['NAME', 'VERSION', 'REPOSITORY', 'PHASE', 'PID'];
    process.stdout.write(await table([header, ...rows.map((row) => row.map(printable))]));
  });
}

/** repositories: one name a line. */
export async function repositories(options: ConsoleOptions): Promise<void> {
  await withConsole(options, async (client) => {
    for (const name of (await client.call('repositories', null)).toSorted()) say(options, name);
  });
}

/** ident: the name that the console has for this client. */
export async function ident(options: ConsoleOptions): Promise<void> {
  await withConsole(options, async (client) => say(options, await client.call('ident', null)));
}

/** notifications [-n N]: one JSON object a line, until N have come. */
export async function notifications({
  number = Infinity,
  ...options
}: ConsoleOptions & { readonly number?: number }): Promise<void> {
  let count = 0;
  if (number === 0) return;
  await withConsole(
    options,
    async (client) => {
      for await (const notification of client.notifications()) {
        say(options, JSON.stringify(notification));
        if (++count >= number) return;
      }
    },
    { subscribe: true },
  );
}

/** inspect CONTAINER: its manifest, where it is and what it uses, as the console knows it. */
export async function inspectContainer(
  asked: string,
  { output, ...options }: ConsoleOptions & { readonly output: Format },
): Promise<void> {
  await withConsole(options, async (client) => {
    const container = await containerOf(client, asked);
    const { data } = await client.call('inspect', { container });
    if (options.json !== true) process.stdout.write(await render(data, output === 'json' ? 'json' : 'yaml'));
  });
}

/** token TARGET SHARED: a token that says who this client is, to be shown to the target; base64. */
export async function token(target: string, shared: string, options: ConsoleOptions): Promise<void> {
  await withConsole(options, async (client) => {
    say(options, await client.call('token_create', { target, shared: base64(shared) }));
  });
}

/** verify-token TOKEN USER SHARED: Ok, Invalid, Expired or Future. */
export async function verifyToken(given: string, user: string, shared: string, options: ConsoleOptions): Promise<void> {
  await withConsole(options, async (client) => {
    say(options, await client.call('token_verify', { token: given, user, shared: base64(shared) }));
  });
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
