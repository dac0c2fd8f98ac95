// northstate exec and shell: a program in a container, with our input, output, terminal and signals.
import { constants } from 'node:os';
import type { Northstate, Session } from '../client/northstate.ts';
import { withConsole, type ConsoleOptions } from './console.ts';
import { exitCodes, Failure } from './exit.ts';
import { printable } from './output.ts';
import { drained } from '../console/protocol/outbox.ts';

export interface ExecOptions extends ConsoleOptions {
  readonly interactive?: boolean;
  readonly tty?: boolean;
  readonly user?: { readonly uid: number; readonly gid: number };
  readonly privileged?: boolean;
}

/** The size of a terminal that nobody looks at. */
const unseen = { rows: 24, columns: 80 };
/** What a shell adds to the number of a signal. */
const signalled = 128;
/** Passed on to the program where no terminal turns keys into them. */
const passedOn = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;

/** exec NAME -- COMMAND: the exit code is the program's. */
export async function exec(name: string, command: readonly string[], options: ExecOptions): Promise<void> {
  const words = command[0] === '--' ? command.slice(1) : command;
  if (words.length === 0) throw new Failure('exec needs a command', { code: exitCodes.usage });
  await run(name, words, options, false);
}

/** shell NAME [ARGUMENT...]: with a terminal where standard input is one. */
export async function shell(name: string, args: readonly string[], options: ExecOptions): Promise<void> {
  const tty = process.stdin.isTTY && process.stdout.isTTY;
  await run(name, ['sh', ...args], { ...options, interactive: true, tty }, true);
}

async function run(name: string, command: readonly string[], options: ExecOptions, isShell: boolean): Promise<void> {
  const { interactive = false, tty = false, user = null, privileged = false } = options;
  if (tty && interactive && !process.stdin.isTTY)
    throw new Failure('-t needs a terminal as standard input: leave it out', { code: exitCodes.usage });
  await carried(options, { tty, interactive }, (client) => {
    const terminal = tty ? { ...sizeOf(), type: process.env['TERM'] ?? 'dumb' } : null;
    const asked = { input: interactive, terminal, user, privileged, shell: isShell };
    return client.exec(name, command, asked);
  });
}

export interface RunOnceOptions extends ConsoleOptions {
  /** ms */
  readonly timeout?: number;
}

/** run-once NAME [ARGUMENT...]: the exit code is the run's. */
export async function runOnce(name: string, args: readonly string[], options: RunOnceOptions): Promise<void> {
  const words = args[0] === '--' ? args.slice(1) : args;
  const { timeout = null } = options;
  await carried(options, { tty: false, interactive: false }, (client) =>
    client.runOnce(name, { args: words, timeout }),
  );
}

/** Shows what a session writes, passes signals on, and ends as it does. */
async function carried(
  options: ConsoleOptions,
  { tty, interactive }: { readonly tty: boolean; readonly interactive: boolean },
  open: (client: Northstate) => Promise<Session>,
): Promise<void> {
  process.exitCode = await withConsole(options, async (client) => {
    const session = await open(client);
    const restore = attach(session, { tty, interactive });
    try {
      for await (const { stream, data } of session.output()) {
        if (options.json === true) continue;
        const to = stream === 'stderr' ? process.stderr : process.stdout;
        if (!to.write(data)) await drained(to);
      }
      const { exit, failure } = await session.ended;
      if (failure !== null) process.stderr.write(`northstate: ${printable(session.container)} ${printable(failure)}\n`);
      return 'code' in exit ? exit.code : signalled + exit.signal;
    } finally {
      restore();
      session.close();
    }
  });
}

function sizeOf(): { rows: number; columns: number } {
  const { rows, columns } = process.stdout;
  return process.stdout.isTTY && rows > 0 && columns > 0 ? { rows, columns } : unseen;
}

/** Passes on what comes from our side; gives the function that puts our terminal back. */
function attach(session: Session, { tty, interactive }: { tty: boolean; interactive: boolean }): () => void {
  const { stdin, stdout } = process;
  const raw = tty && interactive && stdin.isTTY;
  // The session may have ended meanwhile: that is told elsewhere.
  const ignore = (): void => undefined;
  const resized = (): void => void session.resize(sizeOf()).catch(ignore);
  const pass = (signal: NodeJS.Signals): void => void session.signal(constants.signals[signal]).catch(ignore);
  if (raw) stdin.setRawMode(true);
  if (tty) stdout.on('resize', resized);
  else for (const signal of passedOn) process.on(signal, pass);
  if (interactive) void passInput(session).catch(ignore);
  return () => {
    if (raw) stdin.setRawMode(false);
    stdout.off('resize', resized);
    for (const signal of passedOn) process.off(signal, pass);
    stdin.destroy();
  };
}

async function passInput(session: Session): Promise<void> {
  for await (const data of process.stdin) await session.write(data as Buffer);
  await session.end();
}
