// northstate get: the status, once or with every change.
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Operation } from 'fast-json-patch';
import type { Status } from '../../state/status.ts';
import type { Northstate } from '../client/northstate.ts';
import { withConsole, type ConsoleOptions } from './console.ts';
import { render, type Format } from './output.ts';
import { changeLine, conditionLine, statusTable, summary } from './status-table.ts';

export interface GetOptions extends ConsoleOptions {
  readonly output: Format;
  readonly watch?: boolean;
}

/** Prints the status; with `watch` again at every change, until the daemon ends. */
export async function get(options: GetOptions): Promise<void> {
  await withConsole(options, async (client) => {
    if (options.watch === true) {
      await watch(client, options.output, options.json === true);
      return;
    }
    const { status } = await client.call('get', null);
    if (options.json === true) return;
    process.stdout.write(await (options.output === 'table' ? statusTable(status) : render(status, options.output)));
  });
}

async function watch(client: Northstate, format: Format, raw: boolean): Promise<void> {
  const show = await view(format);
  for await (const { status, operations } of client.watch()) if (!raw) await show(status, operations);
}

/** Shows a status; `operations` lead to it from the one before, null = it is the first. */
type View = (status: Status, operations: readonly Operation[] | null) => Promise<void>;

async function view(format: Format): Promise<View> {
  if (format === 'json') return (status) => print(`${JSON.stringify(status)}\n`);
  if (format === 'yaml') return async (status) => print(`---\n${await render(status, format)}`);
  if (!process.stdout.isTTY) return printChanges;
  const { default: logUpdate } = await import('log-update');
  let drawing: Promise<void> | null = null;
  return async (status) => {
    // Many changes that came at once are drawn once.
    drawing ??= nextTurn().then(async () => {
      drawing = null;
      logUpdate(await statusTable(status));
    });
    await Promise.resolve();
  };
}

/** Not a terminal: the table once, then a line for each container that changed. */
async function printChanges(status: Status, operations: readonly Operation[] | null): Promise<void> {
  if (operations === null) {
    await print(await statusTable(status));
    return;
  }
  const names = new Set<string>();
  for (const { path } of operations) {
    const [, member, name] = path.split('/');
    if (member === 'containers' && name !== undefined) names.add(unescape(name));
  }
  const lines = [...names].map((name) => changeLine(name, status.containers[name]));
  if (operations.some(({ path }) => path.startsWith('/conditions')))
    lines.push(...status.conditions.map(conditionLine));
  if (lines.length === 0) lines.push(summary(status));
  await print(lines.map((line) => `${new Date().toISOString()} ${line}\n`).join(''));
}

/** A name in a JSON pointer (RFC 6901). */
function unescape(name: string): string {
  return name.replaceAll('~1', '/').replaceAll('~0', '~');
}

async function print(text: string): Promise<void> {
  await new Promise<void>((resolve) => process.stdout.write(text, () => resolve()));
}
