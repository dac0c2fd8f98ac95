// Inside of a container from another machine: all of it over TLS, against a runtime that runs.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { setTimeout as pass } from 'node:timers/promises';
import { connect, type Northstate, type Session } from '../../../src/client/northstate.ts';
import { makeCertificate } from '../../support/certificate.ts';
import { northstate, type Output } from '../../support/command.ts';
import { freePort } from '../../support/free-port.ts';
import { probePackage } from '../../support/packages.ts';
import { running } from '../../support/scenario.ts';
import { documentOf, startDaemon, type Daemon } from '../../support/test-daemon.ts';
import { until } from '../../support/session-output.ts';

const fields = 'mounts: { /proc: { type: proc }, /dev: { type: dev }, /tmp: { type: tmpfs, size: 5MB } }\n';
const certificate = makeCertificate();
const [inside, outside] = [await freePort(), await freePort()];
let daemon: Daemon;
let client: Northstate;

before(async () => {
  const listener = (port: number, permissions: string): string =>
    `{ listen: "tcp://127.0.0.1:${port}", permissions: [${permissions}], tls: ${certificate.configured} }`;
  daemon = await startDaemon({
    packages: [await probePackage({ name: 'app', fields })],
    document: (directory) => documentOf(directory, 'app: { state: running }'),
    consoles: [listener(inside, 'exec, copy'), listener(outside, 'list, get')],
  });
  await running(daemon, 'app');
  client = await connect({ url: `tls://127.0.0.1:${inside}`, tls: certificate.client });
});
after(async () => {
  client.close();
  await daemon[Symbol.asyncDispose]();
  certificate[Symbol.dispose]();
});

const words = (port = inside): string[] => ['--console', `tls://127.0.0.1:${port}`, ...certificate.words];
const over = (...args: string[]): Promise<Output> => daemon.run(...words(), ...args);

const outputOf = (session: Session) => session.output()[Symbol.asyncIterator]() as AsyncIterator<{ data: Buffer }>;

test('a terminal has a size that changes, keys, signals and an exit code', async () => {
  const terminal = { rows: 33, columns: 99, type: 'vt100' };
  const shell = await client.exec('app', ['sh'], { input: true, terminal, shell: true });
  const output = outputOf(shell);
  const type = (keys: string): Promise<void> => shell.write(Buffer.from(keys));
  await until(output, '$ ');
  await type('stty size; echo $TERM; test -t 0; echo is-a-tty:$?\n');
  assert.match(await until(output, '\nis-a-tty:0'), /33 99\r\nvt100\r\n/);
  // What is in the foreground hears of another size, and of the key.
  await type('sh -c \'trap "echo size-\\$(stty size)" WINCH; echo armed-$((1 + 1)); while :; do sleep 0.1; done\'\n');
  await until(output, 'armed-2');
  await shell.resize({ rows: 20, columns: 40 });
  await until(output, 'size-20 40');
  await type('\x03');
  await until(output, '$ ');
  await type("trap 'echo it has come; exit 9' TERM; echo ready-$((1 + 1))\n");
  await until(output, 'ready-2');
  await shell.signal(15);
  // The shell reads its terminal: it heeds the signal with the next line.
  await type('\n');
  for await (const _ of { [Symbol.asyncIterator]: () => output }) continue;
  assert.deepEqual((await shell.ended).exit, { code: 9 });
  shell.close();
});

test('the command line has input to its end, both outputs, and the exit code', async () => {
  const bytes = Buffer.alloc(3_000_000, 'a line of some length that goes in and out again\n');
  const child = spawn(northstate, [...words(), 'shell', 'app', '-c', 'cat; echo done >&2; exit 7']);
  const ended = once(child, 'close') as Promise<[number]>;
  child.stdin.end(bytes);
  const [back, problems, [code]] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  assert.equal(problems, 'done\n');
  assert.ok(back === bytes.toString());
  assert.equal(code, 7);
  const plain = await over('exec', 'app', '--', '/probe', 'print', '1', 'out', 'exit', '5');
  assert.deepEqual([plain.code, plain.stdout], [5, 'out\n']);
  assert.equal((await over('exec', 'app', '--', '/probe', 'raise', '6')).code, 128 + 6);
});

test('a file goes in and out as it is', async () => {
  const [source = '', target = ''] = ['source', 'target'].map((name) => join(daemon.directory, name));
  const bytes = Buffer.alloc(1_500_000, 'content of the file that is copied\n');
  writeFileSync(source, bytes, { mode: 0o750 });
  assert.deepEqual(await over('cp', source, 'app:/tmp/copied'), { code: 0, stdout: '', stderr: '' });
  assert.deepEqual(await over('cp', 'app:/tmp/copied', target), { code: 0, stdout: '', stderr: '' });
  assert.ok(readFileSync(target).equals(bytes));
  assert.match((await over('cp', source, 'app:/probe')).stderr, /copy \/probe: EROFS/);
});

test('a right that the console does not give is refused, and nothing runs', async () => {
  const refused = async (port: number, ...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await daemon.run(...words(port), ...args);
    assert.deepEqual([code, stdout], [1, '']);
    return stderr;
  };
  const command = ['app', '--', '/probe', 'print', '1', 'in'];
  assert.match(await refused(inside, 'exec', '--privileged', ...command), /exec_privileged/);
  assert.match(await refused(inside, 'exec', '--user', '0', ...command), /exec_privileged/);
  assert.match(await refused(outside, 'exec', ...command), /exec is not permitted here/);
  assert.match(
    await refused(outside, 'cp', 'app:/probe', join(daemon.directory, 'probe')),
    /copy is not permitted here/,
  );
});

/** How many processes are in the groups of a container, whose init has this number. */
function processesOf(init: number | null): number {
  const groups = (pid: string): string => {
    try {
      return readFileSync(`/proc/${pid}/cgroup`, 'utf8');
    } catch {
      return ''; // it has just ended
    }
  };
  const wanted = groups(String(init));
  return readdirSync('/proc').filter((each) => /^\d+$/.test(each) && groups(each) === wanted).length;
}

test('whoever hangs up takes the session along, also one that writes without an end', async () => {
  const { pid } = await running(daemon, 'app');
  const before = processesOf(pid);
  const endless = await client.exec('app', ['yes'], { shell: true });
  await until(outputOf(endless), 'y\n');
  assert.equal(processesOf(pid), before + 1);
  endless.close();
  for (let tries = 0; tries < 200 && processesOf(pid) > before; tries++) await pass(25);
  assert.equal(processesOf(pid), before);
});
