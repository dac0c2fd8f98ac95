// northstate get: the status, once or with every change.
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Operation } from 'fast-json-patch';
import type { Status } from '../../state/status.ts';
import type { Northstate } from '../client/northstate.ts';
import { withConsole, type ConsoleOptions } from './console.ts';
import { exitCodes, Failure } from './exit.ts';
import { jsonPath } from './json-path.ts';
import { printable, render } from './output.ts';
import { changeLine, conditionLine, statusTable, summary } from './status-table.ts';

/** How the status is printed. */

type Format = 'table' | 'wide' | 'name' | 'json' | 'yaml' | `jsonpath=${string}`;

export interface GetOptions extends ConsoleOptions {
  readonly output: Format;
  readonly watch?: boolean;
  /** How long `watch` waits for a daemon that is not there yet, in ms. */
  readonly timeout: number;
}

/** Prints the status, of all or of the containers named; with `watch` again at every change, until the daemon ends. */
export async function get(names: readonly string[], options: GetOptions): Promise<void> {
  const patience = options.watch === true ? options.timeout : 0;
  await withConsole(
    options,
    async (client) => {
      if (options.watch === true) {
        await watch(client, names, options);
        return;
      }
      const { status } = await client.call('get', null);
      if (options.json !== true) await print(await shown(only(status, names), options.output));
    },
    { patience },
  );
}

/** The status with these containers alone; all when none is named. Throws a Failure for one that is not there. */
function only(status: Status, names: readonly string[]): Status {
  if (names.length === 0) return status;
  const entries = names.map((asked) => {
    const key = keyOf(status, asked);
    if (key !== null) return [key, status.containers[key]] as const;
    throw new Failure(`there is no container ${asked}`, { hint: 'northstate get shows what is there' });
  });
  return { ...status, containers: Object.fromEntries(entries) as Status['containers'] };
}

/** The key of the status that is meant by a name, or by name:version. */
function keyOf({ containers }: Status, asked: string): string | null {
  if (Object.hasOwn(containers, asked)) return asked;
  const [name = '', version] = asked.split(':');
  if (version !== undefined) return containers[name]?.version === version ? name : null;
  const [key, ...others] = Object.keys(containers).filter((each) => each.startsWith(`${name}:`));
  return others.length === 0 ? (key ?? null) : null;
}

async function shown(status: Status, format: Format): Promise<string> {
  if (format === 'table' || format === 'wide') return await statusTable(status, { wide: format === 'wide' });
  if (format === 'name') return namesOf(status);
  if (format === 'json' || format === 'yaml') return await render(status, format);
  return `${jsonPath(format.slice('jsonpath='.length), status)}\n`;
}

function namesOf({ containers }: Status): string {
  return Object.keys(containers)
    .toSorted()
    .map((name) => `${printable(name)}\n`)
    .join('');
}

async function watch(client: Northstate, names: readonly string[], { output, json }: GetOptions): Promise<void> {
  if (output === 'name' || output.startsWith('jsonpath=')) {
    throw new Failure(`--watch does not print ${output}`, {
      code: exitCodes.usage,
      hint: 'take table, wide, json or yaml',
    });
  }
  const show = await view(output);
  for await (const { status, operations } of client.watch()) {
    if (json === true) continue;
    const own = operations === null || names.length === 0 ? operations : ofContainers(operations, names);
    if (own === null || own.length > 0) await show(watched(status, names), own);
  }
}

/** As `only`, but what is not there yet, or not any more, is left out: it may come. */
function watched(status: Status, names: readonly string[]): Status {
  const there = names.filter((name) => keyOf(status, name) !== null);
  return names.length > 0 && there.length === 0 ? { ...status, containers: {} } : only(status, there);
}

function ofContainers(operations: readonly Operation[], names: readonly string[]): readonly Operation[] {
  return operations.filter(({ path }) => {
    const [, member, name = ''] = path.split('/');
    return member === 'containers' && names.some((asked) => `${unescape(name)}:`.startsWith(`${asked}:`));
  });
}

/** Shows a status; `operations` lead to it from the one before, null = it is the first. */
type View = (status: Status, operations: readonly Operation[] | null) => Promise<void>;

async function view(format: Format): Promise<View> {
  if (format === 'json') return (status) => print(`${JSON.stringify(status)}\n`);
  if (format === 'yaml') return async (status) => print(`---\n${await render(status, format)}`);
  const wide = format === 'wide';
  if (!process.stdout.isTTY) return (status, operations) => printChanges(status, operations, wide);
  const { default: logUpdate } = await import('log-update');
  let drawing: Promise<void> | null = null;
  return async (status) => {
    // Many changes that came at once are drawn once.
    drawing ??= nextTurn().then(async () => {
      drawing = null;
      logUpdate(await statusTable(status, { wide }));
    });
    await Promise.resolve();
  };
}

/** Not a terminal: the table once, then a line for each container that changed. */
async function printChanges(status: Status, operations: readonly Operation[] | null, wide: boolean): Promise<void> {
  if (operations === null) {
    await print(await statusTable(status, { wide }));
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
