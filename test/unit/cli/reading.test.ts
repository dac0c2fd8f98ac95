// What people and scripts ask to see: chosen containers, forms, lines, generations; and what they write back.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readFile, rmdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test, type TestContext } from 'node:test';
import { DocumentRefused } from '../../../state/document/documents.ts';
import { openConsole } from '../../../src/console/server/server.ts';
import { fakeRuntime, type FakeRuntime } from '../../support/console/fake-runtime.ts';
import { openTestConsole, scratchDirectory, silentLog, testTokens } from '../../support/console/scratch.ts';
import { entry, northstate, type Outcome } from './command-line.ts';

const packages = [
  { manifest: { name: 'broker', version: '1.2.3', init: '/app' }, repository: 'system' },
  { manifest: { name: 'maps', version: '1.0.0' }, repository: 'system' },
  {
    manifest: { name: 'loud', version: '1.0.0', init: '/app', io: { stdout: 'pipe', stderr: 'pipe' } },
    repository: 'system',
  },
];

interface Asked {
  readonly runtime: FakeRuntime;
  run(...args: readonly string[]): Promise<Outcome>;
  /** What a command prints that must succeed. */
  ok(...args: readonly string[]): Promise<string>;
}

async function opened(context: TestContext): Promise<Asked> {
  const runtime = fakeRuntime({ packages });
  const url = await openTestConsole(context, runtime);
  const run = (...args: readonly string[]) => northstate(context, url, args);
  const ok = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await run(...args);
    assert.deepEqual([code, stderr], [0, ''], args.join(' '));
    return stdout;
  };
  return { runtime, run, ok };
}

test('get shows chosen containers, in the form that is asked for', async (context) => {
  const { ok, run } = await opened(context);
  assert.deepEqual((await ok('get', 'maps', 'broker:1.2.3', '-o', 'name')).split('\n'), ['broker', 'maps', '']);
  assert.equal(await ok('get', '-o', 'jsonpath={.containers.broker.version}'), '1.2.3\n');
  const wide = await ok('get', 'broker', '-o', 'wide');
  assert.match(wide, /SINCE +REPOSITORY +MOUNTED +NEXT RESTART +WHY\nbroker .* system +no +-\n$/);
  assert.deepEqual(
    Object.keys((JSON.parse(await ok('get', 'maps', '-o', 'json')) as { containers: object }).containers),
    ['maps'],
  );
  assert.match((await run('get', 'nobody')).stderr, /there is no container nobody/);
  assert.equal((await run('get', '-o', 'xml')).code, 2);
});

test('get --watch waits for a daemon that is not there yet, no longer than it may', async (context) => {
  const url = `unix://${await scratchDirectory(context)}/console`;
  const early = northstate(context, url, ['get', '--watch', '--timeout', '300ms']);
  assert.equal((await early).code, 5);
  const child = spawn(entry, ['get', '--watch'], { env: { ...process.env, NORTHSTATE_CONSOLE: url } });
  context.after(() => void child.kill('SIGKILL'));
  const shown = once(child.stdout, 'data');
  const settings = {
    permissions: 'full',
    patches: 'document',
    log: silentLog,
    tokens: testTokens,
    now: () => 0,
  } as const;
  const console = await openConsole({ ...settings, listen: url, runtime: fakeRuntime({ packages }) });
  context.after(() => console.close());
  assert.match(String((await shown)[0]), /^generation 1, converged\n/);
});

test('apply --wait waits for the daemon, too, within its timeout', async (context) => {
  const document = join(await scratchDirectory(context), 'desired.yaml');
  await writeFile(document, 'apiVersion: northstate/v1\n');
  const args = ['apply', '-f', document, '--wait', '--timeout', '300ms'];
  assert.equal((await northstate(context, 'unix:///nowhere/console', args)).code, 4);
});

test('logs gives the last lines, of several containers with their names, and says who discards', async (context) => {
  const { ok, run, runtime } = await opened(context);
  runtime.lines = [1, 2, 3].map((time) => ({ time, stream: 'stdout', line: `line ${time}` }));
  assert.equal(await ok('logs', 'loud', '-n', '2'), 'line 2\nline 3\n');
  assert.equal(await ok('logs', 'loud', '-n', '0'), '');
  assert.equal(await ok('logs', 'loud', 'maps', '-n', '1'), 'loud: line 3\nmaps: line 3\n');
  runtime.lines = [];
  assert.equal(await ok('logs', 'loud'), '');
  assert.match((await run('logs', 'broker')).stderr, /^northstate: broker discards its output \(io: \{ stdout: pipe/);
  assert.equal((await run('logs', 'loud', '--previous')).stderr, 'northstate: no earlier run of loud is kept\n');
});

test('several names are ordered one after the other, and all that failed are named', async (context) => {
  const { ok, run, runtime } = await opened(context);
  assert.equal(await ok('stop', 'broker', 'loud'), 'broker stopped\nloud stopped\n');
  await ok('start', 'broker');
  await ok('start', 'loud');
  assert.equal(await ok('kill', 'broker', 'loud', 'HUP'), 'broker:1.2.3 got SIGHUP\nloud:1.0.0 got SIGHUP\n');
  const { code, stderr } = await run('restart', 'nobody', 'nothing');
  assert.equal(code, 1);
  assert.match(stderr, /there is no container nobody; there is no container nothing/);
  assert.match(await ok('describe', 'broker', 'maps'), /NAME +broker[\s\S]*\n\nNAME +maps/);
  assert.equal(
    await ok('explain', 'broker', 'maps'),
    'broker is as the document wants it\nmaps is as the document wants it\n',
  );
  assert.ok(runtime.calls.length > 0);
});

test('a generation is shown with its text and how it differs from the one before', async (context) => {
  const { ok, run, runtime } = await opened(context);
  runtime.texts = { 1: 'a: 1\nb: 2\n', 2: 'a: 1\nb: 3\n' };
  assert.equal(
    await ok('history', '2'),
    'a: 1\nb: 3\n\n--- generation 1\n+++ generation 2\n@@ -1,2 +1,2 @@\n a: 1\n-b: 2\n+b: 3\n',
  );
  assert.equal(await ok('history', '1'), 'a: 1\nb: 2\n');
  assert.match((await run('history', '9')).stderr, /generation 9 is not stored/);
});

test('rollback without a number takes the generation before the one in force', async (context) => {
  const { ok, runtime } = await opened(context);
  const { status } = runtime.state();
  runtime.change([], { ...status, generation: 2, document: { ...status.document, generation: 2 } });
  await ok('rollback');
  assert.deepEqual(runtime.calls.at(-1), { rollback: 1, expected: null, origin: 'extern:0.0.0' });
});

test('diff ends with 1 when a document differs from the one in force', async (context) => {
  const { run } = await opened(context);
  const file = join(await scratchDirectory(context), 'desired.yaml');
  await writeFile(file, 'apiVersion: northstate/v1\n');
  assert.deepEqual(await run('diff', '-f', file), { code: 0, stdout: '', stderr: '' });
  await writeFile(file, 'apiVersion: northstate/v1\ncontainers: {}\n');
  const { code, stdout } = await run('diff', '-f', file);
  assert.equal(code, 1);
  assert.match(stdout, /\n\+containers: \{\}\n$/);
});

test('edit shows an error in the editor again, and applies what is left in the end', async (context) => {
  const { runtime } = await opened(context);
  const url = await openTestConsole(context, runtime);
  const directory = await scratchDirectory(context);
  const editor = join(directory, 'editor');
  await writeFile(editor, `#!/bin/sh\ncat "$1" >> ${directory}/seen\necho "containers: {}" >> "$1"\n`);
  await chmod(editor, 0o755);
  const error = { line: 2, column: 1, message: 'that is none', excerpt: 'containers: {}\n^' };
  runtime.failures = [new DocumentRefused(error)];
  const child = spawn(entry, ['edit'], {
    env: { ...process.env, NORTHSTATE_CONSOLE: url, EDITOR: editor, VISUAL: '' },
  });
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  assert.deepEqual([stdout, stderr], ['generation 2\n', '']);
  const seen = await readFile(join(directory, 'seen'), 'utf8');
  assert.match(
    seen,
    /^apiVersion: northstate\/v1\n#! line 2, column 1: that is none\n#! containers: \{\}\n#! \^\napiVersion/,
  );
  const applied = runtime.calls.at(-1) as { readonly apply: string };
  assert.equal(applied.apply, 'apiVersion: northstate/v1\ncontainers: {}\ncontainers: {}\n');
});

test('events are words in the table, JSON for scripts, and chosen by number or time', async (context) => {
  const { ok, runtime } = await opened(context);
  runtime.emit({ type: 'started', container: 'broker:1.2.3' });
  runtime.emit({ type: 'exit', container: 'broker:1.2.3', exit: { code: 3 } });
  assert.match(await ok('events'), / started broker:1\.2\.3\n.* ended broker:1\.2\.3 exit code 3\n$/);
  assert.match(await ok('events', '-o', 'json'), /"exit":\["broker:1\.2\.3",\{"exit":\{"code":3\}\}\]/);
  assert.equal(await ok('events', '--since', '2026-01-02T00:00:00Z'), '');
  assert.equal((await ok('events', '--since', '2025-01-01T00:00:00Z')).split('\n').length, 3);
});

test('list -o json is a list, schema config is that of config.yaml, and --help has groups', async (context) => {
  const { ok } = await opened(context);
  assert.deepEqual(JSON.parse(await ok('list', '-o', 'json')), ['broker:1.2.3', 'loud:1.0.0', 'maps:1.0.0']);
  assert.equal(await ok('schema', 'config'), await ok('schema', 'configuration'));
  const help = await ok('--help');
  for (const heading of ['The daemon:', 'The document:', 'What is there:', 'Containers:', 'Packages:', 'Others:']) {
    assert.match(help, new RegExp(`^${heading}$`, 'm'));
  }
});

test('inspect of a name beside a directory of that name is of the container', async (context) => {
  const runtime = fakeRuntime({ packages });
  const url = await openTestConsole(context, runtime);
  const cwd = await scratchDirectory(context);
  await mkdir(join(cwd, 'broker'));
  const child = spawn(entry, ['inspect', 'broker'], { cwd, env: { ...process.env, NORTHSTATE_CONSOLE: url } });
  assert.match(await text(child.stdout), /name: broker/);
});

test('in a directory that was deleted a command says so', async () => {
  const cwd = await mkdtemp(join(tmpdir(), 'northstate-gone-'));
  const child = spawn('sh', ['-c', `rmdir ${cwd} && exec ${entry} get`], { cwd });
  const closed = once(child, 'exit') as Promise<[number]>;
  const [stderr, [code]] = await Promise.all([text(child.stderr), closed]);
  assert.equal(code, 1);
  assert.match(stderr, /northstate: the directory that you are in has been deleted: cd to another one\n$/);
  await assert.rejects(rmdir(cwd), { code: 'ENOENT' });
});
