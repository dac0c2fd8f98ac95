// A runtime with hostile containers, started one after the other for what each of them is to try.
import { connectConsole, ConsoleError, type Client, type Notification } from '../../src/client/console-client.ts';
import { documentOf, startDaemon, type Daemon } from '../support/test-daemon.ts';
import { hostilePackage } from './payload.ts';

/** A container that is started with an act. */
export interface Cell {
  readonly name: string;
  /** Fields of the manifest beside name, version, init and io, as YAML. */
  readonly fields: string;
  /** Fields of its entry, as YAML of a flow map. */
  readonly entry?: string;
  /** Its package, when it is not made of these fields. */
  readonly package?: string;
}

/** How a container ended, and what it said. */
export interface Tried {
  readonly exit: { readonly exit: { readonly code: number } } | { readonly signalled: { readonly signal: number } };
  readonly said: readonly string[];
}

export interface Cells extends AsyncDisposable {
  readonly daemon: Daemon;
  /** Has a container do an act to its end. */
  run(name: string, ...act: readonly string[]): Promise<Tried>;
  /** The same, but only what it said. */
  said(name: string, ...act: readonly string[]): Promise<readonly string[]>;
  /** Starts an act that does not end; resolves when the container has said `line`. */
  begin(name: string, line: string, ...act: readonly string[]): Promise<readonly string[]>;
  /** Resolves when it has ended, by somebody else's doing. */
  ended(name: string): Promise<Tried['exit']>;
  /** Ends it with SIGKILL. */
  end(name: string): Promise<void>;
  /** Starts a container with another init, or its own when empty; gives its exit code or signal, or why it did not start. */
  startAs(name: string, init: string, args: readonly string[]): Promise<string>;
}

/** The package of a cell. */
async function packageOf({ name, fields, package: made }: Cell): Promise<string> {
  if (made !== undefined) return made;
  return hostilePackage(`name: ${name}
version: 1.0.0
init: /escape
${/^io:/m.test(fields) ? '' : 'io: { stdout: pipe, stderr: pipe }\n'}${/^uid:/m.test(fields) ? '' : 'uid: 1000\ngid: 1000\n'}${fields}`);
}

/** Starts a runtime with these containers, none of which runs yet. */
export async function openCells(
  cells: readonly Cell[],
  { prefix = [] }: { readonly prefix?: readonly string[] } = {},
): Promise<Cells> {
  const packages = await Promise.all(cells.map(packageOf));
  // Nothing is made in advance: what the launcher holds and the host shows must be the containers' doing alone.
  const common = 'state: mounted, prepare: false, restart: { policy: never }';
  const entries = cells.map(({ name, entry = '' }) => `${name}: { ${common}${entry && `, ${entry}`} }`);
  const daemon = await startDaemon({
    packages,
    document: (directory) => documentOf(directory, ...entries),
    prefix,
  });
  await daemon.until('everything is mounted', ({ converged }) => converged);
  const client = await connectConsole(daemon.console, { subscribe: true });
  const events = client.notifications()[Symbol.asyncIterator]();
  let last = 0;

  async function start(name: string, init: string | null, args: readonly string[]): Promise<void> {
    const container = `${name}:1.0.0`;
    await client.call('start', { container, init, arguments: [...args], environment: {}, lifetime: undefined });
  }

  async function endOf(name: string): Promise<Tried['exit']> {
    for (;;) {
      const { value, done } = (await events.next()) as IteratorResult<Notification, undefined>;
      if (done === true) throw new Error(`the console hung up before ${name} ended:\n${daemon.log()}`);
      if (typeof value === 'object' && 'exit' in value && value.exit[0] === `${name}:1.0.0`) return value.exit[1];
    }
  }

  const cellsOf: Cells = {
    daemon,
    async run(name, ...act) {
      const run = String(++last);
      await start(name, null, [run, ...act]);
      const exit = await endOf(name);
      return { exit, said: await linesOfRun(daemon.console, name, run, null) };
    },
    said: async (name, ...act) => (await cellsOf.run(name, ...act)).said,
    async begin(name, line, ...act) {
      const run = String(++last);
      await start(name, null, [run, ...act]);
      return linesOfRun(daemon.console, name, run, line);
    },
    ended: endOf,
    async end(name) {
      await client.call('kill', { container: `${name}:1.0.0`, signal: 9, lifetime: undefined });
      await endOf(name);
    },
    async startAs(name, init, args) {
      try {
        await start(name, init === '' ? null : init, args);
      } catch (error) {
        if (error instanceof ConsoleError) return JSON.stringify(error.detail);
        throw error;
      }
      const exit = await endOf(name);
      return 'exit' in exit ? String(exit.exit.code) : `signal ${exit.signalled.signal}`;
    },
    async [Symbol.asyncDispose]() {
      client.close();
      await daemon[Symbol.asyncDispose]();
    },
  };
  return cellsOf;
}

/** What a container has said since it was told to run: all of it, or up to a line that is waited for. */
async function linesOfRun(url: string, name: string, run: string, last: string | null): Promise<string[]> {
  const client: Client = await connectConsole(url);
  try {
    await client.call('logs', { name, since: null, follow: last !== null });
    let lines: string[] | null = null;
    for await (const notification of client.notifications()) {
      if (typeof notification !== 'object') continue;
      if ('log_end' in notification) break;
      if (!('log' in notification)) continue;
      const { line } = notification.log;
      if (line === `run ${run}`) lines = [];
      else lines?.push(line);
      if (lines !== null && line === last) return lines;
    }
    if (lines !== null && last === null) return lines;
    throw new Error(`${name} did not say "${last ?? `run ${run}`}": ${JSON.stringify(lines)}`);
  } finally {
    client.close();
  }
}
