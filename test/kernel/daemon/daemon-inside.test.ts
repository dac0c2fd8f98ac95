// Inside of a container: programs, shells and files, over the console and from the command line.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { connect, type Northstate, type Session } from '../../../src/client/northstate.ts';
import { northstate } from '../../support/command.ts';
import { probePackage } from '../../support/packages.ts';
import { running, runningAs } from '../../support/scenario.ts';
import { asleep, withSleeper } from '../../support/sleeper.ts';
import { documentOf, startDaemon, type Daemon } from '../../support/test-daemon.ts';
import { untilLogged } from '../../support/successor.ts';
import { until } from '../../support/session-output.ts';

const fields = `mounts: { /proc: { type: proc }, /dev: { type: dev }, /tmp: { type: tmpfs, size: 5MB } }
rlimits: { nofile: { soft: 77, hard: 77 } }
seccomp: { profile: default }
suppl_groups: []
`;
const packages = await Promise.all([
  probePackage({ name: 'app', fields }),
  probePackage({ name: 'app', version: '2.0.0', fields }),
  probePackage({ name: 'other', args: ['ignore', 'sleep'] }),
]);
let daemon: Daemon;
let client: Northstate;

before(async () => {
  daemon = await startDaemon({
    packages,
    document: (directory) => documentOf(directory, 'app: { version: =1.0.0, state: running }', 'other: {}'),
  });
  await running(daemon, 'app');
  client = await connect({ url: daemon.console });
});
after(async () => {
  client.close();
  await daemon[Symbol.asyncDispose]();
});

/** Everything that a session writes, and how it ends. */
async function all(session: Session): Promise<{ stdout: string; stderr: string; exit: object }> {
  const said = { stdout: '', stderr: '' };
  for await (const { stream, data } of session.output()) said[stream] += data.toString();
  const { exit } = await session.ended;
  session.close();
  return { ...said, exit };
}

test('exec runs a program as the application runs: ids, limits, rights, filter, environment', async () => {
  const { code, stdout, stderr } = await daemon.run(
    ...['exec', 'app', '--', '/probe', 'ids', 'fds', 'env', 'cat', '/proc/self/status', 'cat', '/proc/self/limits'],
    ...['print', '2', 'aside', 'exit', '5'],
  );
  assert.deepEqual([code, stderr], [5, 'aside\n']);
  assert.match(stdout, /^uid 1000\ngid 1000\npid \d+\nppid 0\n/);
  assert.match(stdout, /^0\n1\n2\n(?!3)/m);
  assert.match(stdout, /^NORTHSTAR_CONTAINER=app:1\.0\.0$/m);
  assert.match(stdout, /^CapBnd:\t0+$/m);
  assert.match(stdout, /^Seccomp:\t2$/m);
  assert.match(stdout, /^Max open files +77 +77 /m);
  const { pid } = await running(daemon, 'app');
  const groups = (of: string): string => readFileSync(`/proc/${of}/cgroup`, 'utf8');
  const session = await client.exec('app', ['/probe', 'sleep']);
  const joined = readdirSync('/proc').filter((each) => /^\d+$/.test(each) && isChildOf(each, daemon.pid));
  assert.ok(
    joined.some((each) => each !== String(pid) && groups(each) === groups(String(pid)) && commandOf(each) === '/probe'),
    'nobody new is in the groups of the container',
  );
  session.close();
});

function isChildOf(pid: string, parent: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[1] === String(parent);
  } catch {
    return false;
  }
}

function commandOf(pid: string): string | undefined {
  return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')[0];
}

test('more than the application has is for whoever may have it', async () => {
  const { stdout } = await daemon.run('exec', '--privileged', 'app', '--', '/probe', 'ids', 'cat', '/proc/self/status');
  assert.match(stdout, /^uid 0\n/);
  assert.match(stdout, /^Seccomp:\t0$/m);
  assert.doesNotMatch(stdout, /^CapEff:\t0+$/m);
  assert.match(
    await daemon.run('exec', '--user', '7:8', 'app', '--', '/probe', 'ids').then((o) => o.stdout),
    /^uid 7\ngid 8\n/,
  );
});

test('input goes in to its end, however much it is, and signals come beside it', async () => {
  const bytes = Buffer.alloc(3_000_000, 'a line of some length that goes in and out again\n');
  const child = spawn(northstate, ['shell', 'app', '-c', 'cat'], {
    env: { ...process.env, NORTHSTATE_CONSOLE: daemon.console },
  });
  child.stdin.end(bytes);
  const [back, problems] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  assert.equal(problems, '');
  assert.equal(back, bytes.toString());
  // One that reads nothing is full, and still hears a signal.
  const deaf = await client.exec('app', ['/probe', 'sleep'], { input: true });
  const over = all(deaf);
  void deaf.write(bytes).catch(() => undefined);
  await deaf.signal(15);
  assert.deepEqual((await over).exit, { signal: 15 });
  const interrupted = await daemon.run('exec', 'app', '--', '/probe', 'raise', '6');
  assert.equal(interrupted.code, 128 + 6);
});

test('a terminal has a size, keys that interrupt, job control, and an end of input', async () => {
  const terminal = { rows: 33, columns: 99, type: 'vt100' };
  const shell = await client.exec('app', ['sh'], { input: true, terminal, shell: true });
  const output = shell.output()[Symbol.asyncIterator]() as AsyncIterator<{ data: Buffer }>;
  const type = (keys: string): Promise<void> => shell.write(Buffer.from(keys));
  await until(output, '$ ');
  await type('stty size; echo $TERM; test -t 0; echo is-a-tty:$?\n');
  assert.match(await until(output, '\nis-a-tty:0'), /33 99\r\nvt100\r\n/);
  await shell.resize({ rows: 20, columns: 40 });
  await type('stty size\n');
  await until(output, '20 40');
  // A program in the foreground hears the key, the shell lives on; one that is stopped is a job.
  await type("sh -c 'echo one; exec sleep 1000'\n");
  await until(output, '\none');
  await type('\x03');
  await until(output, '$ ');
  await type("sh -c 'echo two; exec sleep 1000'\n");
  await until(output, '\ntwo');
  await type('\x1a');
  await until(output, 'Stopped');
  // The second is for a shell that warns of stopped jobs.
  await type('kill -9 %1\nexit 9\nexit 9\n');
  for await (const _ of { [Symbol.asyncIterator]: () => output }) continue;
  assert.deepEqual((await shell.ended).exit, { code: 9 });
  shell.close();
  const cat = await client.exec('app', ['sh', '-c', 'cat'], { input: true, terminal, shell: true });
  const said = all(cat);
  await cat.write(Buffer.from('typed\n'));
  await cat.end();
  assert.deepEqual(await said, { stdout: 'typed\r\ntyped\r\n', stderr: '', exit: { code: 0 } });
});

test('on a terminal the command line puts it into raw mode, and back', async () => {
  const command = `stty -a | grep -o ' -\\?icanon'; ${northstate} exec -it app -- /probe ids; stty -a | grep -o ' -\\?icanon'`;
  const child = spawn('script', ['-qec', command, '/dev/null'], {
    env: { ...process.env, NORTHSTATE_CONSOLE: daemon.console },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const [said] = await Promise.all([text(child.stdout), once(child, 'close')]);
  assert.match(said, / icanon\r\nuid 1000\r\r?\n[^]* icanon\r\n$/);
  assert.doesNotMatch(said, /-icanon/);
});

test('shell has what the package lacks, and leaves nothing', async () => {
  const { code, stdout, stderr } = await daemon.run('shell', 'app', '-c', 'id -u; echo hi > /tmp/hi; ls -A /; exit 3');
  assert.deepEqual([code, stderr], [3, '']);
  assert.equal(stdout, '1000\n.northstate\ndev\nprobe\nproc\ntmp\n');
  const { pid } = await running(daemon, 'app');
  assert.deepEqual(readdirSync(`/proc/${pid}/root`).toSorted(), ['dev', 'probe', 'proc', 'tmp']);
});

test('cp copies out and in what the application may read and write', async () => {
  const [source, target] = ['source', 'target'].map((name) => join(daemon.directory, name));
  const bytes = Buffer.alloc(1_500_000, 'content of the file that is copied\n');
  writeFileSync(source ?? '', bytes, { mode: 0o750 });
  assert.deepEqual(await daemon.run('cp', source ?? '', 'app:/tmp/copied'), { code: 0, stdout: '', stderr: '' });
  assert.deepEqual(await daemon.run('cp', 'app:/tmp/copied', target ?? ''), { code: 0, stdout: '', stderr: '' });
  assert.deepEqual(readFileSync(target ?? ''), bytes);
  const { stdout } = await daemon.run('shell', 'app', '-c', 'ls -ln /tmp/copied');
  assert.match(stdout, /^-rwxr-x--- +1 1000 +1000 +1500000 /);
  for (const [from, to, message] of [
    [source, 'app:/probe', /copy \/probe: EROFS/],
    ['app:/missing', target, /copy \/missing: ENOENT/],
    ['app:/dev/zero', target, /\/dev\/zero: no regular file: EINVAL/],
    [source, target, /one of the two is NAME:\/path/],
    ['other:/probe', target, /other is not running/],
  ] as const) {
    const failed = await daemon.run('cp', from ?? '', to ?? '');
    assert.notEqual(failed.code, 0);
    assert.match(failed.stderr, message);
  }
  assert.deepEqual(readFileSync(target ?? ''), bytes, 'a copy that fails leaves what was there');
});

test('whoever is inside is on record, and ends with the connection', async () => {
  const session = await client.exec('app', ['/probe', 'print', '1', 'secret', 'sleep']);
  const output = session.output()[Symbol.asyncIterator]() as AsyncIterator<{ data: Buffer }>;
  await until(output, 'secret');
  session.close();
  const seen: string[] = [];
  for await (const event of client.events({ follow: true })) {
    if ('gap' in event) continue;
    seen.push(JSON.stringify(event.event));
    if (seen.at(-1)?.includes('session_end') && seen.at(-1)?.includes('"signal":9')) break;
  }
  assert.ok(seen.some((event) => event.includes('{"session":["app:1.0.0",{"by":"extern:0.0.0","does":"/probe"')));
  assert.ok(
    seen.every((event) => !event.includes('secret')),
    'arguments are nobody’s business',
  );
  const missing = await daemon.run('exec', 'app', '--', 'missing');
  assert.deepEqual([missing.code, missing.stderr], [1, 'northstate: there is no program missing in app:1.0.0\n']);
});

test('a replacement waits for whoever is inside, and a reconciler that dies takes them along', async () => {
  const session = await client.exec('app', ['/probe', 'sleep']);
  const over = all(session);
  await daemon.write(documentOf(daemon.repository, 'app: { version: =2.0.0, state: running }'));
  await runningAs(daemon, 'app', '2.0.0');
  assert.deepEqual((await over).exit, { signal: 9 });
  const orphaned = await client.exec('app', ['/probe', 'print', '1', 'in', 'sleep']);
  const ended = assert.rejects(all(orphaned), /the console ended the connection/);
  process.kill(daemon.reconciler() ?? 0, 'SIGKILL');
  await ended;
  const left = readdirSync('/proc').filter((each) => /^\d+$/.test(each) && isChildOf(each, daemon.pid));
  const { pid } = await running(daemon, 'app');
  await untilLogged(daemon, 'the reconciler has started');
  assert.deepEqual(
    left.filter((each) => commandOf(each) === '/probe' && each !== String(pid)),
    [],
  );
});

test('a session keeps the reconciler awake, however long nothing happens', async () => {
  const idle = await probePackage({ name: 'idle', args: ['sleep'] });
  await withSleeper([idle], ['idle: { state: running }'], async (sleeper) => {
    await asleep(sleeper);
    const inside = await connect({ url: sleeper.console });
    const session = await inside.exec('idle', ['/probe', 'sleep']);
    const decides = sleeper.reconciler();
    await new Promise((resolve) => setTimeout(resolve, 1000)); // five times as long as it rests before it sleeps
    assert.equal(sleeper.reconciler(), decides);
    assert.notEqual(decides, null);
    session.close();
    inside.close();
    await asleep(sleeper);
  });
});
