import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { beforeEach, test } from 'node:test';
import { encodeRecord, decodeRecord } from '../../../controllers/containers/attempt-record.ts';
import { createDebugCommands, type DebugCommands } from '../../../src/daemon/debug-commands.ts';

type Fields = Readonly<Record<string, unknown>>;
type State = Parameters<DebugCommands['seen']>[0]['state'];

let lines: { readonly fields: Fields; readonly message: string }[];
let logged: PromiseWithResolvers<void>;
beforeEach(() => {
  lines = [];
  logged = Promise.withResolvers();
});

const note = (fields: Fields, message: string): void => {
  lines.push({ fields, message });
  logged.resolve();
  logged = Promise.withResolvers();
};
const log = { info: note, warn: note } as never;

const record = encodeRecord({ ...decodeRecord(new Uint8Array()), version: '1.0.0' });
const attempt = (id: number, state: State) => ({ id, name: 'app', state, pid: 4711, record });
const none = { remembered: [], launcher: process.pid } as const;

/** The first line with this message that was logged, now or later. */
async function untilLogged(message: string): Promise<Fields> {
  for (;;) {
    const found = lines.find((line) => line.message === message);
    if (found !== undefined) return found.fields;
    await logged.promise;
  }
}

test('a command runs once after each start, with the process and the container in it, split at blanks and without a shell', async () => {
  const debug = createDebugCommands({ commands: ['echo  <CONTAINER> runs as <PID>; $HOME', ' '], log, ...none });
  debug.seen(attempt(1, 'prepared'));
  debug.seen(attempt(1, 'running'));
  debug.seen(attempt(1, 'running'));
  const { line, container } = await untilLogged('debug command output');
  assert.deepEqual([line, container], ['app:1.0.0 runs as 4711; $HOME', 'app:1.0.0']);
  assert.equal((await untilLogged('debug command has ended'))['code'], 0);
  assert.equal(lines.filter(({ message }) => message === 'debug command output').length, 1);
});

test('a command ends with its container and not with the next one of that name', async () => {
  const debug = createDebugCommands({ commands: ['sleep 1000'], log, ...none });
  debug.seen(attempt(1, 'running'));
  debug.seen(attempt(2, 'running'));
  debug.seen(attempt(1, 'exited'));
  assert.equal((await untilLogged('debug command has ended'))['signal'], 'SIGTERM');
  lines = [];
  debug.close();
  assert.equal((await untilLogged('debug command has ended'))['signal'], 'SIGKILL');
});

test('a command that does not hear SIGTERM is killed', async () => {
  const debug = createDebugCommands({ commands: ['env --ignore-signal=TERM sleep 1000'], log, ...none });
  debug.seen(attempt(1, 'running'));
  debug.seen(attempt(1, 'exited'));
  const { signal } = await untilLogged('debug command has ended');
  assert.match(String(signal), /SIGKILL|SIGTERM/);
});

test('a command that cannot be run is a warning, and the others run', async () => {
  const debug = createDebugCommands({ commands: ['/no/such/program <PID>', 'true'], log, ...none });
  debug.seen(attempt(1, 'running'));
  assert.equal((await untilLogged('debug command cannot be run'))['error'], 'ENOENT');
  await untilLogged('debug command has ended');
});

test('a flood of output is bounded, line by line and in all', async () => {
  const debug = createDebugCommands({ commands: [`yes ${'x'.repeat(10_000)}`], log, ...none });
  debug.seen(attempt(1, 'running'));
  await untilLogged('further output of a debug command is dropped');
  debug.close();
  await untilLogged('debug command has ended');
  const texts = lines.flatMap(({ fields: { line } }) => (typeof line === 'string' ? [line] : []));
  assert.ok(texts.every((text) => text.length <= 4096));
  assert.ok(texts.reduce((sum, text) => sum + text.length, 0) < 300_000);
});

test('what a reconciler that was killed has left behind is ended by the next one, and nothing else', async () => {
  const earlier = createDebugCommands({ commands: ['sleep 1000'], log, ...none });
  earlier.seen(attempt(1, 'running'));
  const debug = createDebugCommands({
    commands: ['true'],
    log,
    remembered: [{ id: 1, pid: 4711 }],
    launcher: process.pid,
  });
  assert.equal((await untilLogged('debug command has ended'))['signal'], 'SIGKILL');
  lines = [];
  debug.seen(attempt(1, 'running'));
  debug.seen(attempt(2, 'running'));
  await untilLogged('debug command has ended');
  assert.equal(lines.length, 1);
  assert.ok(existsSync(`/proc/${process.pid}`));
});
