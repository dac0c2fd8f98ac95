// The launcher as the root of the process tree: its reconcilers, what it remembers for them, its end.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  constants,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { AcceptCalls } from '../../support/accept-calls.ts';
import { launcherProgram, startLauncher, within, type RemoteReconciler } from '../../support/test-launcher.ts';
import { opened } from '../../support/values.ts';

test('greets a reconciler with an empty memory', async () => {
  await using launcher = await startLauncher();
  const reconciler = await launcher.reconciler();
  const { hello, global, descriptors, attempts } = reconciler.remembered;
  assert.equal(hello.pid, launcher.pid);
  assert.equal(hello.starts, 1);
  assert.equal(hello.terminating, false);
  assert.equal(global.length, 0);
  assert.deepEqual([descriptors, attempts], [[], []]);
});

test('starts the reconciler again after it was killed, and says so', async () => {
  await using launcher = await startLauncher();
  const first = await launcher.reconciler();
  process.kill(first.pid, 'SIGKILL');
  const second = await launcher.reconciler();
  assert.notEqual(second.pid, first.pid);
  assert.equal(second.remembered.hello.starts, 2);
  assert.match(launcher.log(), /the reconciler ended with SIGKILL; it is started again in 100 ms/);
});

test('waits longer before each restart of a reconciler that keeps dying', async () => {
  await using launcher = await startLauncher();
  for (const pause of [100, 200, 400]) {
    void (await launcher.reconciler()).call('exit', 3).catch(() => undefined);
    await launcher.said(`exit code 3; it is started again in ${pause} ms`);
  }
});

test('hands the global record, the generation and its deaths to the next reconciler', async () => {
  await using launcher = await startLauncher();
  const first = await launcher.reconciler();
  await first.call('record', 0, Buffer.from('remember me'));
  await first.call('trying', 7);
  process.kill(first.pid, 'SIGSEGV');
  const second = await launcher.reconciler();
  assert.equal(Buffer.from(second.remembered.global).toString(), 'remember me');
  assert.deepEqual([second.remembered.hello.generation, second.remembered.hello.deaths], [7, 1]);
  await second.call('trying', 8);
  void second.call('exit', 3).catch(() => undefined);
  const third = await launcher.reconciler();
  assert.deepEqual([third.remembered.hello.generation, third.remembered.hello.deaths], [8, 1]);
});

test('holds no end against a generation that somebody else has made', async () => {
  await using launcher = await startLauncher();
  for (const signal of ['SIGKILL', 'SIGTERM', 'SIGKILL'] as const) {
    const killed = await launcher.reconciler();
    await killed.call('trying', 7);
    process.kill(killed.pid, signal);
  }
  const last = await launcher.reconciler();
  assert.deepEqual([last.remembered.hello.generation, last.remembered.hello.deaths], [7, 0]);
  await last.call('garbage', Buffer.alloc(12, 0xff)).catch(() => undefined);
  const next = await launcher.reconciler();
  assert.equal(next.remembered.hello.deaths, 1);
});

test('lets the next reconciler inherit the descriptors that were kept', async () => {
  await using launcher = await startLauncher();
  const first = await launcher.reconciler();
  const file = join(launcher.directory, 'kept');
  await first.call('keep', 'one', opened({ file, flags: 'w' }));
  await first.call('keep', 'two', opened({ file, flags: 'r' }));
  await first.call('drop', 'two');
  process.kill(first.pid, 'SIGKILL');
  const second = await launcher.reconciler();
  const [[name, fd] = ['', 0], ...others] = second.remembered.descriptors;
  assert.equal(name, 'one');
  assert.ok(fd >= 10);
  assert.equal(readlinkSync(`/proc/${second.pid}/fd/${fd}`), file);
  assert.deepEqual(others, []);
});

test('keeps as many descriptors as containers may have consoles, and closes the gaps', async () => {
  await using launcher = await startLauncher();
  const first = await launcher.reconciler();
  const names = Array.from({ length: 600 }, (_, index) => `kept ${index}`);
  const file = opened({ file: '/dev/null', flags: 'r' });
  await Promise.all(names.map((name) => first.call('keep', name, file)));
  const dropped = names.filter((_, index) => index % 3 === 0 || index > 500);
  await Promise.all(dropped.map((name) => first.call('drop', name)));
  process.kill(first.pid, 'SIGKILL');
  const second = await launcher.reconciler();
  const left = names.filter((name) => !dropped.includes(name));
  assert.deepEqual(
    second.remembered.descriptors.map(([name]) => name),
    left,
  );
  for (const [, fd] of second.remembered.descriptors)
    assert.equal(readlinkSync(`/proc/${second.pid}/fd/${fd}`), '/dev/null');
});

interface Accepting extends Omit<RemoteReconciler, 'call'> {
  call<K extends keyof AcceptCalls>(
    name: K,
    ...values: Parameters<AcceptCalls[K]>
  ): Promise<Awaited<ReturnType<AcceptCalls[K]>>>;
  call(name: 'drop', kept: string): Promise<void>;
}

test('what it accepts outlives the reconciler that asked for it, from the very moment on', async () => {
  await using launcher = await startLauncher({}, { calls: join(import.meta.dirname, '../../support/accept-calls.ts') });
  const path = join(launcher.directory, 'door');
  const steer = async (): Promise<Accepting> => {
    const remote: unknown = await launcher.reconciler();
    return remote as Accepting;
  };
  const first = await steer();
  await first.call('listenAt', path);
  assert.equal(await first.call('acceptAt', path, 'early', 'x'), false);
  await assert.rejects(first.call('acceptAt', 'no such name', null, 'x'), { code: 'ENOENT' });
  const connected = async (): Promise<Socket> => {
    const socket = connect(path);
    await once(socket, 'connect');
    return socket;
  };
  const kept = await connected();
  assert.equal(await first.call('acceptAt', path, 'kept', 'one '), true);
  const dropped = await connected();
  assert.equal(await first.call('acceptAt', path, null, 'all'), true);
  assert.equal(Buffer.concat((await dropped.toArray()) as Buffer[]).toString(), 'all');
  const waiting = await connected();
  // Asked for, and dead before the answer.
  void first.call('acceptAt', path, 'in between', 'x').catch(() => undefined);
  process.kill(first.pid, 'SIGKILL');
  const second = await steer();
  const descriptors = new Map(second.remembered.descriptors);
  const mended = await second.call('acceptAt', path, 'in between', '');
  assert.equal(mended, !descriptors.has('in between'));
  await second.call('say', descriptors.get('kept') ?? -1, 'two');
  for (const name of ['kept', 'in between']) await second.call('drop', name);
  process.kill(second.pid, 'SIGKILL');
  await steer();
  assert.equal(Buffer.concat((await kept.toArray()) as Buffer[]).toString(), 'one two');
  assert.match(Buffer.concat((await waiting.toArray()) as Buffer[]).toString(), /^x?$/);
});

test('rings when a descriptor has room again', async () => {
  await using launcher = await startLauncher();
  const reconciler = await launcher.reconciler();
  const pipe = join(launcher.directory, 'pipe');
  assert.equal(spawnSync('mkfifo', [pipe]).status, 0);
  const own = openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK);
  try {
    assert.throws(
      () => {
        for (;;) writeSync(own, Buffer.alloc(4096));
      },
      { code: 'EAGAIN' },
    );
    await reconciler.call('watch', 6, 'writable', opened({ file: pipe, flags: 'r+' }));
    await reconciler.call('record', 0, Buffer.of());
    assert.deepEqual(reconciler.unseen('watch'), []);
    readSync(own, Buffer.alloc(8192));
    assert.deepEqual(await reconciler.next('watch'), [6]);
  } finally {
    closeSync(own);
  }
});

test('passes no descriptor of its own on to the reconciler', async () => {
  await using launcher = await startLauncher();
  const { pid } = await launcher.reconciler();
  const open = readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
  assert.deepEqual(
    open.filter((target) => /\.lock$|^mnt:|memfd|signalfd|timerfd/.test(target)),
    [],
  );
});

test('refuses a second launcher on the same directories and names the process that has them', async () => {
  await using launcher = await startLauncher();
  await launcher.reconciler();
  for (const [state, run, taken] of [
    ['state', 'other', 'state'],
    ['other', 'run', 'run'],
  ] as const) {
    const directory = (name: string) => join(launcher.directory, name);
    const args = ['--state-dir', directory(state), '--run-dir', directory(run), '--', '/bin/true'];
    const { status, stderr } = spawnSync(launcherProgram(), args, { encoding: 'utf8' });
    assert.equal(status, 1);
    assert.equal(stderr, `northstate: ${directory(taken)} is in use by process ${launcher.pid}\n`);
  }
});

test('refuses a second launcher also when the note of the first was deleted', async () => {
  await using launcher = await startLauncher();
  await launcher.reconciler();
  const [state, run] = [join(launcher.directory, 'state'), join(launcher.directory, 'run')];
  for (const directory of [state, run]) rmSync(join(directory, '.lock'));
  const args = ['--state-dir', state, '--run-dir', join(launcher.directory, 'other'), '--', '/bin/true'];
  const { status, stderr } = spawnSync(launcherProgram(), args, { encoding: 'utf8' });
  assert.deepEqual([status, stderr], [1, `northstate: ${state} is in use by another process\n`]);
});

test('comes up on a state directory that is read-only, alone', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'northstate-read-only-'));
  const [state, run] = [join(directory, 'state'), join(directory, 'run')];
  await mkdir(state);
  const script = `mount --bind "$1" "$1"; mount -o remount,ro,bind "$1"; shift; exec "$@"`;
  const options = ['--state-dir', state, '--run-dir', run, '--'];
  const words = [
    '--mount',
    'sh',
    '-c',
    script,
    'sh',
    state,
    launcherProgram(),
    ...options,
    'sh',
    '-c',
    'echo up >&2; kill -9 $PPID',
  ];
  const { stderr } = spawnSync('unshare', words, { encoding: 'utf8' });
  await rm(directory, { recursive: true });
  assert.equal(stderr, `northstate: ${state}/.lock cannot be written: Read-only file system\nup\n`);
});

test('refuses a kernel before 5.10, a missing reconciler and an unknown option', () => {
  const run = (command: string, ...args: string[]) => spawnSync(command, args, { encoding: 'utf8' });
  const options = ['--state-dir', '/nowhere', '--run-dir', '/nowhere'];
  const old = run('setarch', '--uname-2.6', launcherProgram(), ...options, '--', '/bin/true');
  assert.match(old.stderr, /^northstate: Linux 5\.10 or newer is needed, this is 2\.6\./);
  assert.equal(old.status, 1);
  const missing = run(launcherProgram(), ...options, '--');
  assert.match(missing.stderr, /^northstate: usage: /);
  assert.equal(missing.status, 1);
  assert.match(run(launcherProgram(), '--what').stderr, /^northstate: --what: not an option/);
});

test('ends with the status of the stop that follows a termination signal', async () => {
  await using launcher = await startLauncher();
  const reconciler = await launcher.reconciler();
  launcher.signal('SIGTERM');
  assert.deepEqual(await reconciler.next('terminate'), [15]);
  await reconciler.call('stop', 42);
  void reconciler.call('exit', 0).catch(() => undefined);
  assert.equal(await within('the end', launcher.exited), 42);
});

test('tells a reconciler that comes up during termination, and gives up after five deaths', async () => {
  await using launcher = await startLauncher();
  let reconciler = await launcher.reconciler();
  launcher.signal('SIGINT');
  await reconciler.next('terminate');
  for (let deaths = 1; deaths < 5; deaths++) {
    process.kill(reconciler.pid, 'SIGKILL');
    reconciler = await launcher.reconciler();
    assert.equal(reconciler.remembered.hello.terminating, true);
    assert.deepEqual(await reconciler.next('terminate'), [2]);
  }
  process.kill(reconciler.pid, 'SIGKILL');
  assert.equal(await within('the end', launcher.exited), 1);
});

test('takes the reconciler down with it when it is killed', async () => {
  await using launcher = await startLauncher();
  const reconciler = await launcher.reconciler();
  launcher.signal('SIGKILL');
  await within('the end of the reconciler', reconciler.gone);
});

test('rings a watch once until it is rearmed', async () => {
  await using launcher = await startLauncher();
  const reconciler = await launcher.reconciler();
  const mountTable = opened({ file: '/proc/self/mountinfo', flags: 'r' });
  await reconciler.call('watch', 5, 'priority', mountTable);
  const namespaced = (...command: string[]) =>
    assert.equal(spawnSync('nsenter', [`--mount=/proc/${reconciler.pid}/ns/mnt`, ...command]).status, 0);
  const target = join(launcher.directory, 'run');
  namespaced('mount', '-t', 'tmpfs', 'none', target);
  assert.deepEqual(await reconciler.next('watch'), [5]);
  namespaced('umount', target);
  await reconciler.call('record', 0, Buffer.of());
  assert.deepEqual(reconciler.unseen('watch'), []);
  await reconciler.call('rearm', 5);
  namespaced('mount', '-t', 'tmpfs', 'none', target);
  assert.deepEqual(await reconciler.next('watch'), [5]);
  await reconciler.call('unwatch', 5);
  await assert.rejects(reconciler.call('rearm', 5), { step: 'watch', code: 'ENOENT' });
});

test('rings at the deadline, and not for one that was taken back', async () => {
  await using launcher = await startLauncher();
  const reconciler = await launcher.reconciler();
  const uptime = Number(readFileSync('/proc/uptime', 'latin1').split(' ')[0]) * 1000;
  await reconciler.call('deadline', uptime + 1500);
  await reconciler.call('deadline', null);
  await reconciler.call('deadline', uptime + 1600);
  await reconciler.next('deadline');
  assert.deepEqual(reconciler.unseen('deadline'), []);
});

test('kills and replaces a reconciler that sends a malformed frame', async () => {
  for (const bytes of [
    Buffer.alloc(16), // a size of zero
    Buffer.from('ffffffff0100000001000000', 'hex'), // far over the limit
    Buffer.from('080000000700000001000000', 'hex'), // a body that is missing
    Buffer.from('080000006300000001000000', 'hex'), // no such type
    Buffer.from('080000000f00010001000000', 'hex'), // a descriptor that did not come
  ]) {
    await using launcher = await startLauncher();
    const first = await launcher.reconciler();
    await first.call('record', 0, Buffer.from('kept'));
    void first.call('garbage', bytes).catch(() => undefined);
    const second = await launcher.reconciler();
    assert.equal(Buffer.from(second.remembered.global).toString(), 'kept');
    assert.match(launcher.log(), /the reconciler is killed: a malformed frame/);
  }
});

test('gets every request and descriptor in order after it could not read for a while', async () => {
  await using launcher = await startLauncher();
  const first = await launcher.reconciler();
  launcher.signal('SIGSTOP');
  const names = Array.from({ length: 40 }, (_, index) => join(launcher.directory, `kept-${index}`));
  // Several times what the socket has room for.
  const requests = names.flatMap((file) => [
    ...Array.from({ length: 10 }, () => first.call('record', 0, Buffer.alloc(4096, file.at(-1)))),
    first.call('keep', file, opened({ file, flags: 'w' })),
  ]);
  const answers = Promise.all(requests);
  await first.call('garbage', Buffer.of()); // answered when all the calls before it were made
  launcher.signal('SIGCONT');
  await answers;
  process.kill(first.pid, 'SIGKILL');
  const second = await launcher.reconciler();
  assert.deepEqual(second.remembered.global, Buffer.alloc(4096, '9'));
  assert.equal(second.remembered.descriptors.length, names.length);
  for (const [name, fd] of second.remembered.descriptors)
    assert.equal(readlinkSync(`/proc/${second.pid}/fd/${fd}`), name);
});

test('keeps the host out of its own mount namespace and its program out of reach', async () => {
  await using launcher = await startLauncher();
  await launcher.reconciler();
  const table = readFileSync(`/proc/${launcher.pid}/mountinfo`, 'latin1').trim().split('\n');
  assert.equal(table.length, 1);
  assert.match(table[0] ?? '', / \/ \/ ro,.* tmpfs /);
  assert.match(readlinkSync(`/proc/${launcher.pid}/exe`), /^\/memfd:northstate-launcher \(deleted\)$/);
  assert.equal(existsSync(`/proc/${launcher.pid}/root/proc`), false);
});
