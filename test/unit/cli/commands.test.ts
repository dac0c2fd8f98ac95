// Every command that orders something: what it asks of the runtime, what it prints, how it ends.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { DocumentConflict, DocumentRefused } from '../../../state/document/documents.ts';
import { RuntimeError } from '../../../src/runtime/runtime.ts';
import { fakeRuntime } from '../../support/console/fake-runtime.ts';
import { openTestConsole, scratchDirectory, testTokens } from '../../support/console/scratch.ts';
import { northstate } from './command-line.ts';

const broker = { manifest: { name: 'broker', version: '1.2.3', init: '/app' }, repository: 'system' };
const maps = ['1.0.0', '2.0.0'].map((version) => ({ manifest: { name: 'maps', version }, repository: 'system' }));
const options = { lifetime: 'document', origin: 'extern:0.0.0', timeout: 10_000 };

const orders: readonly [args: readonly string[], call: object, says: string][] = [
  [
    ['start', 'broker', 'A=b', 'C=', '/app', '--fast', 'x=y'],
    {
      command: {
        type: 'start',
        container: 'broker:1.2.3',
        init: '/app',
        args: ['--fast', 'x=y'],
        env: { A: 'b', C: '' },
      },
      ...options,
    },
    'broker:1.2.3 started\n',
  ],
  [
    ['start', '--boot', 'broker:1.2.3'],
    {
      command: { type: 'start', container: 'broker:1.2.3', init: null, args: [], env: {} },
      ...options,
      lifetime: 'boot',
    },
    'broker:1.2.3 started\n',
  ],
  [['stop', 'broker'], { command: { type: 'stop', name: 'broker' }, ...options, timeout: 60_000 }, 'broker stopped\n'],
  [
    ['restart', 'broker', '--timeout', '5s'],
    { command: { type: 'restart', name: 'broker' }, ...options, timeout: 5000 },
    'broker restarted\n',
  ],
  [
    ['update', 'broker', '--document'],
    { command: { type: 'update', name: 'broker' }, ...options, timeout: 60_000 },
    'broker updated\n',
  ],
  [
    ['mount', 'broker'],
    { command: { type: 'mount', container: 'broker:1.2.3' }, ...options },
    'broker:1.2.3 mounted\n',
  ],
  [
    ['uninstall', 'broker', '--wipe'],
    { command: { type: 'uninstall', container: 'broker:1.2.3', wipe: true }, ...options },
    'broker:1.2.3 uninstalled\n',
  ],
];

for (const [args, call, says] of orders) {
  test(`northstate ${args.join(' ')} orders it and says so`, async (context) => {
    const runtime = fakeRuntime({ packages: [broker] });
    const url = await openTestConsole(context, runtime);
    assert.deepEqual(await northstate(context, url, args), { code: 0, stdout: says, stderr: '' });
    assert.deepEqual(runtime.calls, [call]);
  });
}

test('kill sends TERM unless another signal is named, by number or by name', async (context) => {
  const runtime = fakeRuntime({ packages: [broker] });
  const url = await openTestConsole(context, runtime);
  for (const [given, signal] of [
    ['', 'SIGTERM'],
    ['9', 'SIGKILL'],
    ['HUP', 'SIGHUP'],
    ['sigusr1', 'SIGUSR1'],
  ] as const) {
    await northstate(context, url, ['start', 'broker']);
    const { stdout } = await northstate(context, url, ['kill', 'broker', ...(given === '' ? [] : [given])]);
    assert.equal(stdout, `broker:1.2.3 got ${signal}\n`);
  }
  const { code, stderr } = await northstate(context, url, ['kill', 'broker', 'DANCE']);
  assert.equal(code, 2);
  assert.match(stderr, /^northstate: there is no signal DANCE \(.*\)\n$/);
});

test('umount of several containers does what it can and names what it cannot', async (context) => {
  const runtime = fakeRuntime({ packages: [broker, ...maps] });
  const url = await openTestConsole(context, runtime);
  await northstate(context, url, ['mount', 'broker']);
  const { code, stdout, stderr } = await northstate(context, url, ['umount', 'broker', 'maps:1.0.0']);
  assert.equal(code, 1);
  assert.equal(stdout, 'broker:1.2.3 umounted\n');
  assert.match(stderr, /^northstate: maps:1\.0\.0: maps:1\.0\.0 is in use or not mounted \(.*\)\n$/);
});

test('a name with several versions that no entry decides is a wrong usage', async (context) => {
  const runtime = fakeRuntime({ packages: maps });
  const { status } = runtime.state();
  runtime.change([], { ...status, containers: {} });
  const url = await openTestConsole(context, runtime);
  const { code, stderr } = await northstate(context, url, ['start', 'maps']);
  assert.equal(code, 2);
  assert.equal(stderr, 'northstate: maps is there in several versions: maps:1.0.0, maps:2.0.0 (name one of them)\n');
});

test('an error of the runtime is one line with a hint', async (context) => {
  const runtime = fakeRuntime({ packages: [broker] });
  const detail = { container: 'broker:1.2.3', error: 'exec /app: ENOENT' };
  runtime.failure = new RuntimeError('start_container_failed', 'exec /app: ENOENT', detail);
  const url = await openTestConsole(context, runtime);
  const { code, stdout, stderr } = await northstate(context, url, ['start', 'broker']);
  assert.deepEqual([code, stdout], [1, '']);
  assert.match(stderr, /^northstate: exec \/app: ENOENT \(northstate describe .*\)\n$/);
});

test('install streams a file into a repository', async (context) => {
  const bytes = Buffer.alloc(3_000_000, 'npk');
  const runtime = fakeRuntime({
    repositories: { system: {} },
    recognise: (given) => (given.equals(bytes) ? { name: 'new', version: '1.0.0' } : undefined),
  });
  const url = await openTestConsole(context, runtime);
  const file = join(await scratchDirectory(context), 'new.npk');
  await writeFile(file, bytes);
  assert.deepEqual(await northstate(context, url, ['install', file, 'system']), {
    code: 0,
    stdout: 'new:1.0.0 installed\n',
    stderr: '',
  });
  const nowhere = await northstate(context, url, ['install', file, 'nowhere']);
  assert.deepEqual([nowhere.code, nowhere.stderr], [1, 'northstate: there is no repository nowhere\n']);
  const address = 'https://host/new.npk';
  const dry = await northstate(context, url, ['install', '--dry-run', address]);
  assert.equal(dry.stdout, `added:1.0.0: ${address.length} of 1000 bytes to fetch\n`);
  assert.equal((await northstate(context, url, ['install', address])).stdout, 'added:1.0.0 installed\n');
  for (const [words, message] of [
    [['--dry-run', file], /--dry-run is of an address/],
    [[file], /a file needs a repository/],
  ] as const) {
    const { code, stderr } = await northstate(context, url, ['install', ...words]);
    assert.equal(code, 2);
    assert.match(stderr, message);
  }
  const missing = await northstate(context, url, ['install', `${file}x`, 'system']);
  assert.match(missing.stderr, /^northstate: open .*x: ENOENT \(name a readable package\)\n$/);
});

test('apply reads a file or standard input and says which generation it became', async (context) => {
  const runtime = fakeRuntime();
  const url = await openTestConsole(context, runtime);
  const text = 'apiVersion: northstate/v1\n';
  assert.equal((await northstate(context, url, ['apply', '-f', '-'], text)).stdout, 'generation 2\n');
  const file = join(await scratchDirectory(context), 'desired.yaml');
  await writeFile(file, text);
  assert.equal((await northstate(context, url, ['apply', '-f', file, '--expect', '1'])).code, 0);
  const origin = 'extern:0.0.0';
  assert.deepEqual(runtime.calls, [
    { apply: text, expected: null, origin },
    { apply: text, expected: 1, origin },
  ]);
});

for (const [outcome, code] of [
  ['converged', 0],
  ['failed', 3],
  ['timeout', 4],
] as const) {
  test(`apply --wait ends with ${code} when it has ${outcome}`, async (context) => {
    const runtime = fakeRuntime();
    runtime.outcome = outcome;
    const url = await openTestConsole(context, runtime);
    const result = await northstate(context, url, ['apply', '-f', '-', '--wait', '--timeout', '60s'], 'x');
    assert.equal(result.code, code);
    const { wait } = runtime.calls.at(-1) as {
      readonly wait: { readonly generation: number; readonly timeout: number };
    };
    // What is left of it.
    assert.ok(wait.generation === 2 && wait.timeout > 0 && wait.timeout <= 60_000);
    assert.equal(result.stderr.split('\n').length, code === 0 ? 1 : 2);
  });
}

test('a document that is refused is told with its place, and a conflict with the generation in force', async (context) => {
  const runtime = fakeRuntime();
  const url = await openTestConsole(context, runtime);
  const error = { line: 3, column: 5, message: 'there is no field stat', excerpt: 'stat: x\n^' };
  runtime.failure = new DocumentRefused(error);
  const refused = await northstate(context, url, ['apply', '-f', '-'], 'x');
  assert.equal(refused.code, 1);
  assert.equal(refused.stderr, 'northstate: line 3, column 5: there is no field stat (nothing was changed)\n');
  runtime.failure = new DocumentConflict(7, 'generation 6 was expected');
  const conflict = await northstate(context, url, ['apply', '-f', '-'], 'x');
  assert.match(conflict.stderr, /generation 7 is in force/);
});

test('plan prints the ordered steps', async (context) => {
  const url = await openTestConsole(context, fakeRuntime());
  assert.equal((await northstate(context, url, ['plan'])).stdout, 'start  broker  start broker\n');
  const { stdout } = await northstate(context, url, ['plan', '-f', '-', '-o', 'json'], 'x');
  assert.deepEqual(JSON.parse(stdout), [{ op: 'start', name: 'broker', text: 'start broker anew', waits: null }]);
});

test('history prints the generations, newest first, and marks the one in force', async (context) => {
  const url = await openTestConsole(context, fakeRuntime());
  const { stdout } = await northstate(context, url, ['history']);
  assert.deepEqual(stdout.split('\n').slice(1), [
    '2           1970-01-01T00:00:00.000Z  console  console  0.1.0',
    '1 *         1970-01-01T00:00:00.000Z  file     file     0.1.0',
    '',
  ]);
});

test('describe prints the status, the steps and the entry', async (context) => {
  const url = await openTestConsole(context, fakeRuntime({ packages: [broker] }));
  const { code, stdout } = await northstate(context, url, ['describe', 'broker']);
  assert.equal(code, 0);
  assert.match(stdout, /^NAME +broker\n/);
  assert.match(stdout, /\nPHASE +Installed since 2026-01-01T00:00:00\.000Z\n/);
  assert.match(stdout, /\nSTILL TO DO\nstart {2}start broker\n/);
  assert.match(stdout, /\nENTRY\nnone: it is not in the document\n$/);
  const unknown = await northstate(context, url, ['describe', 'nope']);
  assert.deepEqual(
    [unknown.code, unknown.stderr],
    [1, 'northstate: there is no container nope (northstate get shows what is there)\n'],
  );
});

test('logs prints each line to the stream that it was written to', async (context) => {
  const runtime = fakeRuntime({ packages: [broker] });
  runtime.lines = [
    { time: 0, stream: 'stdout', line: 'hello' },
    { time: 1000, stream: 'stderr', line: 'oh' },
  ];
  const url = await openTestConsole(context, runtime);
  assert.deepEqual(await northstate(context, url, ['logs', 'broker']), { code: 0, stdout: 'hello\n', stderr: 'oh\n' });
  const { stdout } = await northstate(context, url, ['logs', 'broker', '-t', '--since', '2026-01-01T00:00:00Z']);
  assert.equal(stdout, '1970-01-01T00:00:00.000Z hello\n');
  const wrong = await northstate(context, url, ['logs', 'broker', '--since', 'tea']);
  assert.equal(wrong.code, 2);
});

test('shutdown ends when the daemon has hung up', async (context) => {
  const runtime = fakeRuntime();
  const { openConsole } = await import('../../../src/console/server/server.ts');
  const { silentLog } = await import('../../support/console/scratch.ts');
  const listen = `unix://${await scratchDirectory(context)}/console`;
  const console = await openConsole({
    listen,
    permissions: 'full',
    patches: 'boot',
    runtime,
    tokens: testTokens,
    log: silentLog,
    now: () => 0,
  });
  runtime.events(({ event }) => {
    if (event.type === 'shutdown') void console.close();
  });
  assert.deepEqual(await northstate(context, listen, ['shutdown']), { code: 0, stdout: '', stderr: '' });
  assert.deepEqual(runtime.calls, ['shutdown']);
});
