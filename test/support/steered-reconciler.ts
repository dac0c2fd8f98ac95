// A reconciler that decides nothing: the launcher starts it, a test steers it over a UNIX socket, a value per line. It
// says what is remembered at first, then each event, and the answer to each call.
import { writeSync } from 'node:fs';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { connectLauncher, LaunchError } from '../../native/wire/launcher.ts';
import { read, write } from './values.ts';
import type { Launcher, LauncherEvents } from '../../native/wire/launcher-interface.ts';

const launcherFd = Number(process.env['NORTHSTATE_LAUNCHER_FD']);
const test = connect(process.argv[2] ?? '');
const say = (value: object): void => void test.write(`${write(value)}\n`);
const tell =
  (event: keyof LauncherEvents) =>
  (...values: unknown[]): void =>
    say({ event, values });

const { launcher, remembered } = await connectLauncher(launcherFd, {
  attempt: tell('attempt'),
  output: tell('output'),
  watch: tell('watch'),
  deadline: tell('deadline'),
  left: tell('left'),
  terminate: tell('terminate'),
  closed: () => process.exit(1),
});
say({ pid: process.pid, remembered: { ...remembered, descriptors: [...remembered.descriptors] } });

const calls = new Map<string, (...values: never[]) => unknown>([
  ...Object.entries(launcher),
  // Beside the launcher's own: bytes that are no frame, and an end.
  ['garbage', (bytes: Uint8Array) => writeSync(launcherFd, bytes)],
  ['exit', (code: number) => process.exit(code)],
  // And those of a test's own module.
  ...(await furtherCalls(process.argv[3])),
]);

async function furtherCalls(module: string | undefined): Promise<[string, (...values: never[]) => unknown][]> {
  if (module === undefined) return [];
  const { createCalls } = (await import(module)) as { createCalls: (own: Launcher) => object };
  return Object.entries(createCalls(launcher)) as [string, (...values: never[]) => unknown][];
}

/** The fields of a LaunchError beside its message. */
function refusal(error: unknown): object {
  if (!(error instanceof LaunchError)) return {};
  const { step, errno, code, subject } = error;
  return { step, errno, code, subject };
}

async function answer(line: string): Promise<void> {
  const { id, call, values } = read(line) as { id: number; call: string; values: never[] };
  try {
    say({ id, result: (await calls.get(call)?.(...values)) ?? null });
  } catch (error) {
    const { message } = error as Error;
    say({ id, error: { ...refusal(error), message } });
  }
}

// Calls run side by side, as they do in a reconciler.
createInterface(test).on('line', (line) => void answer(line));
test.on('close', () => process.exit(0));
