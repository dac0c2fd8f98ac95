// The commands that nstar has, too, and those that speak of the document as a whole.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFile, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { toTree } from '../../../state/text/tree.ts';
import { fakeRuntime, type FakeRuntime } from '../../support/console/fake-runtime.ts';
import { openTestConsole, scratchDirectory } from '../../support/console/scratch.ts';
import { entry, northstate, startCommand } from './command-line.ts';

const broker = { manifest: { name: 'broker', version: '1.2.3', init: '/app' }, repository: 'system' };
const maps = { manifest: { name: 'maps', version: '1.0.0' }, repository: 'system' };

async function opened(context: TestContext): Promise<{ runtime: FakeRuntime; url: string }> {
  const runtime = fakeRuntime({ packages: [broker, maps, { ...maps, manifest: { name: 'maps', version: '2.0.0' } }] });
  runtime.tree = toTree({ containers: { broker: { state: 'running' } } });
  return { runtime, url: await openTestConsole(context, runtime) };
}

test('list, repositories, ident and inspect print what the console says, one a line where there is no terminal', async (context) => {
  const { url } = await opened(context);
  const printed = async (...args: string[]) => (await northstate(context, url, args)).stdout;
  const all = 'broker:1.2.3\nmaps:1.0.0\nmaps:2.0.0\n';
  assert.deepEqual(await Promise.all([printed('list'), printed('ls'), printed('repos'), printed('ident')]), [
    ...[all, all, 'system\n', 'extern:0.0.0\n'],
  ]);
  assert.match(
    await printed('inspect', 'broker'),
    /name: broker[\s\S]*repository: system\nmounted: false\nprocess: null\n/,
  );
  assert.match((await northstate(context, url, ['inspect', './maps'])).stderr, /ENOENT/);
});

test("nstar's options stand before the command: -u, -j for the messages as they are, -t", async (context) => {
  const { url, runtime } = await opened(context);
  const raw = await northstate(context, 'unix:///nowhere', ['-u', url, '-j', '-t', '5s', 'list']);
  assert.deepEqual(JSON.parse(raw.stdout), { response: { list: ['broker:1.2.3', 'maps:1.0.0', 'maps:2.0.0'] } });
  const failed = await northstate(context, url, ['-j', 'kill', 'broker:1.2.3', '15']);
  assert.equal(failed.code, 1);
  assert.match(failed.stdout, /^\{"response":\{"kill":\{"error":.*stop_container_not_started.*\n$/);
  runtime.command = () => new Promise(() => undefined);
  const late = await northstate(context, url, ['-t', '100ms', 'start', 'broker']);
  assert.deepEqual([late.code, late.stderr], [4, 'northstate: no answer within 0.1 s\n']);
});

test('notifications prints so many of them, a JSON object a line', async (context) => {
  const { url, runtime } = await opened(context);
  const child = startCommand(context, url, ['notifications', '-n', '2']);
  const events = setInterval(() => runtime.emit({ type: 'started', container: 'broker:1.2.3' }), 20);
  context.after(() => clearInterval(events));
  const lines: string[] = [];
  for await (const chunk of child.stdout?.setEncoding('utf8') ?? []) lines.push(chunk as string);
  assert.equal(lines.join(''), '{"started":"broker:1.2.3"}\n'.repeat(2));
});

test('token and verify-token speak to each other', async (context) => {
  const { url } = await opened(context);
  const { stdout: token } = await northstate(context, url, ['token', 'extern', 'both know']);
  assert.equal(Buffer.from(token.trim(), 'base64').length, 40);
  const verdict = await northstate(context, url, ['verify-token', token.trim(), 'extern', 'both know']);
  assert.equal(verdict.stdout, 'Ok\n');
  const other = await northstate(context, url, ['verify-token', token.trim(), 'extern', 'something else']);
  assert.equal(other.stdout, 'Invalid\n');
});

test('patch takes operations or a merge patch, as an argument or from a file', async (context) => {
  const { url, runtime } = await opened(context);
  const merge = await northstate(context, url, ['patch', '{containers: {broker: {state: mounted}}}', '--expect', '1']);
  assert.deepEqual(merge, { code: 0, stdout: 'generation 2\n', stderr: '' });
  const operation = { op: 'remove', path: '/containers/broker' };
  await northstate(context, url, ['patch', '--boot', '-f', '-'], JSON.stringify([operation]));
  const state = { op: 'add', path: '/containers/broker/state', value: 'mounted' };
  assert.deepEqual(runtime.calls, [
    { patch: [state], expected: 1, lifetime: 'document', origin: 'extern:0.0.0' },
    { patch: [operation], expected: null, lifetime: 'boot', origin: 'extern:0.0.0' },
  ]);
  for (const args of [['patch'], ['patch', '7'], ['patch', '{}', '-f', '-'], ['patch', '{']]) {
    assert.equal((await northstate(context, url, args)).code, 2, args.join(' '));
  }
});

test('explain prints the chain, rollback the generation', async (context) => {
  const { url, runtime } = await opened(context);
  const link = (container: string, unmet: string, reason: string, message: string) => ({
    container,
    unmet,
    reason,
    message,
  });
  const missing = { ...link('bus', 'Installed', 'NotInstalled', 'nothing is bus ^1'), because: [] };
  const image = { ...link('bus', 'Mounted', 'NotMounted', ''), because: [missing] };
  runtime.unmet.set('broker', { ...link('broker', 'Running', 'WaitingForDependency', 'bus'), because: [image] });
  const { stdout } = await northstate(context, url, ['explain', 'broker']);
  assert.equal(
    stdout,
    'broker is not Running (WaitingForDependency: bus)\n' +
      '<- bus is not Mounted (NotMounted)\n' +
      '  <- bus is not Installed (NotInstalled: nothing is bus ^1)\n',
  );
  assert.equal((await northstate(context, url, ['explain', 'maps'])).code, 0);
  assert.equal((await northstate(context, url, ['rollback', '1'])).stdout, 'generation 2\n');
});

for (const [outcome, code] of [
  ['converged', 0],
  ['failed', 3],
  ['timeout', 4],
] as const) {
  test(`wait ends with ${code} when the document has ${outcome}`, async (context) => {
    const { url, runtime } = await opened(context);
    runtime.outcome = outcome;
    const result = await northstate(context, url, ['wait', '--for', 'converged', '--timeout', '10s']);
    assert.equal(result.code, code, result.stderr);
  });
}

test('wait waits for the daemon, too, and no longer than it may', async (context) => {
  const { code, stderr } = await northstate(context, 'unix:///nowhere/console', ['wait', '--timeout', '200ms']);
  assert.equal(code, 4, stderr);
});

test('events prints what is kept with its number and times, report writes an archive once', async (context) => {
  const { url, runtime } = await opened(context);
  for (let count = 0; count < 6; count++) runtime.emit({ type: 'install', container: 'broker:1.2.3' });
  const { stdout, stderr } = await northstate(context, url, ['events', '--since', '1']);
  assert.match(stdout, /^2026-01-01T00:00:00\.000Z \+1\.000s 3 installed broker:1\.2\.3\n/);
  assert.match(stderr, /events after 1 are not kept any more; the oldest is 3/);
  runtime.archive = [Buffer.from('PK')];
  const file = join(await scratchDirectory(context), 'report.zip');
  assert.equal((await northstate(context, url, ['report', file])).stdout, `${file}\n`);
  assert.equal(await readFile(file, 'utf8'), 'PK');
  assert.match((await northstate(context, url, ['report', file])).stderr, /open .*report\.zip: EEXIST/);
});

test('words that may come next are commands, options, choices, live containers and repositories', async (context) => {
  const { url } = await opened(context);
  const next = async (...words: string[]) =>
    (await northstate(context, url, ['__complete', '--', ...words])).stdout.trim().split('\n');
  assert.deepEqual(await next('un'), ['unlock', 'uninstall', 'unpack']);
  assert.deepEqual(await next('start', 'x'), ['']);
  assert.deepEqual(await next('start', 'b'), ['broker', 'broker:1.2.3']);
  assert.deepEqual(await next('mount', 'broker', 'maps:'), ['maps:1.0.0', 'maps:2.0.0']);
  assert.deepEqual(await next('install', 'x.npk', ''), ['system']);
  assert.deepEqual(await next('get', '-o', ''), ['table', 'wide', 'name', 'json', 'yaml']);
  assert.deepEqual(await next('schema', 'm'), ['manifest']);
  assert.deepEqual(await next('apply', '--ex'), ['--expect']);
});

test('bash, zsh and fish complete live names of containers', async (context) => {
  const { url } = await opened(context);
  const directory = await scratchDirectory(context);
  await symlink(entry, join(directory, 'northstate'));
  const env = { PATH: `${directory}:${process.env['PATH'] ?? ''}`, HOME: directory, NORTHSTATE_CONSOLE: url };
  const ask: Record<string, string> = {
    bash: `source "$1"; COMP_LINE='northstate start maps:'; COMP_POINT=\${#COMP_LINE}; _northstate; printf '%s\\n' "\${COMPREPLY[@]}"`,
    zsh: `compdef() { :; }; compadd() { print -l -- \${(P)2}; }; source "$1"; words=(northstate start maps:); CURRENT=3; _northstate`,
    fish: `source $argv[1]; complete -C 'northstate start maps:'`,
  };
  const names: Record<string, string[]> = { bash: ['1.0.0', '2.0.0'] };
  for (const [shell, script] of Object.entries(ask)) {
    const file = join(directory, `completion.${shell}`);
    await northstate(context, url, ['completion', '-s', shell, '-o', file]);
    const program = join(dirname(file), `ask.${shell}`);
    await writeFile(program, script);
    // Asynchronous, since the console is in this very process.
    const { code, stdout, stderr } = await (await import('../../support/command.ts')).run(shell, [program, file], env);
    assert.equal(code, 0, `${shell}: ${stderr}`);
    assert.deepEqual(stdout.trim().split('\n'), names[shell] ?? ['maps:1.0.0', 'maps:2.0.0'], shell);
  }
  for (const [shell, begins] of [
    ['elvish', /^set edit:completion:arg-completer\[northstate\] = /m],
    ['powershell', /^Register-ArgumentCompleter -Native -CommandName northstate /m],
  ] as const) {
    const { code, stdout } = await northstate(context, url, ['completion', '-s', shell]);
    assert.equal(code, 0);
    assert.match(stdout, begins);
    assert.match(stdout, /northstate __complete -- /);
  }
  assert.equal(spawnSync('bash', ['-n', join(directory, 'completion.bash')]).status, 0);
});
