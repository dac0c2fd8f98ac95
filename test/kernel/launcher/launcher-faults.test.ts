// What must not bring the launcher down, and what it must not leave behind or hold on to.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, constants, existsSync, mkdirSync, openSync, readFileSync, watch, writeSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Attempt } from '../../../native/wire/launcher.ts';
import type { Op } from '../../../native/wire/ops.ts';
import { launcherDescriptors } from '../../support/launcher-descriptors.ts';
import {
  launcherProgram,
  startLauncher,
  within,
  type RemoteReconciler,
  type TestLauncher,
} from '../../support/test-launcher.ts';
import { opened } from '../../support/values.ts';
import { probe } from '../../support/packages.ts';
import { removeEmpty } from '../../support/leftover-groups.ts';

const NAMESPACES = 0x20000000 | 0x20000 | 0x08000000 | 0x04000000; // PID, mount, IPC, UTS
const none = new Uint8Array();
const hash = '00'.repeat(32);

/** A root with the probe and directories to mount on. */
async function makeRoot(launcher: TestLauncher, places = 1): Promise<string> {
  const root = join(launcher.directory, 'root');
  await mkdir(root);
  await copyFile(await probe(), join(root, 'probe'));
  for (let place = 0; place < places; place++) await mkdir(join(root, `${place}`));
  return root;
}

const sandbox = (root: string, ...further: readonly Op[]): Op[] => [
  { op: 'namespaces', flags: NAMESPACES },
  { op: 'output', stream: 1, mode: 'ring', size: 4096 },
  { op: 'root', fd: opened({ tree: root }) },
  ...further,
  { op: 'pivot' },
];
const prepare = (reconciler: RemoteReconciler, id: number, ops: readonly Op[]) =>
  reconciler.call('prepare', { id, name: `name ${id}`, hash, record: none, ops });
const go = (reconciler: RemoteReconciler, id: number, program: readonly string[], ...ops: readonly Op[]) => {
  const exec: Op = { op: 'exec', path: '/probe', arguments: ['/probe', ...program], environment: [] };
  return reconciler.call('go', { id, after: 0, record: none, ops: [...ops, exec] });
};
const until = async (reconciler: RemoteReconciler, id: number, state: Attempt['state']): Promise<Attempt> =>
  (await reconciler.next('attempt', (attempt) => attempt.id === id && attempt.state === state))[0];
const descriptors = ({ pid }: TestLauncher) => launcherDescriptors(pid);
const residentKiB = ({ pid }: TestLauncher) =>
  Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]);

test('holds no descriptor and no memory of starts that have ended or failed', async () => {
  await using launcher = await startLauncher();
  const reconciler = await launcher.reconciler();
  const root = await makeRoot(launcher);
  const fails: Op[] = [
    { op: 'cgroup-into', fd: opened({ file: '/etc', flags: 'r' }) },
    { op: 'oom', fd: opened({ file: '/etc/passwd', flags: 'r' }) },
    { op: 'tree', fd: opened({ tree: '/etc' }), target: '/gone' },
    { op: 'filesystem', type: 'nofs', target: '/0', attributes: 0, options: [] },
    { op: 'output', stream: 1, mode: 'ring', size: 4096 },
    { op: 'cwd', path: '/gone' },
  ];
  let id = 0;
  const round = async () => {
    for (const op of fails) {
      const start = prepare(reconciler, ++id, sandbox(root, op)).then(() => go(reconciler, id, ['exit', '0']));
      if (op.op === 'oom') await start;
      else await assert.rejects(start);
      if (op.op === 'oom') await until(reconciler, id, 'exited');
      await reconciler.call('forget', id);
    }
    await prepare(reconciler, ++id, sandbox(root));
    await assert.rejects(
      go(reconciler, id, [], { op: 'write', fd: opened({ file: '/etc', flags: 'r' }), bytes: none, path: '/etc' }),
    );
    await reconciler.call('forget', id);
    await prepare(reconciler, ++id, sandbox(root));
    await reconciler.call('forget', id);
  };
  await round();
  const before = { open: await descriptors(launcher), resident: residentKiB(launcher) };
  for (let rounds = 0; rounds < 20; rounds++) await round();
  assert.equal(await descriptors(launcher), before.open);
  assert.ok(residentKiB(launcher) < before.resident + 256, `${residentKiB(launcher)} KiB after ${before.resident}`);
});

test('closes what came with a malformed frame and what a dying reconciler had still sent', async () => {
  await using launcher = await startLauncher();
  const first = await launcher.reconciler();
  const before = await descriptors(launcher);
  void first.call('keep', '', opened({ file: '/etc/passwd', flags: 'r' })).catch(() => undefined);
  const second = await launcher.reconciler();
  assert.equal(await descriptors(launcher), before);
  launcher.signal('SIGSTOP');
  for (let key = 0; key < 20; key++) {
    void second
      .call('watch', key, 'priority', opened({ file: '/proc/self/mountinfo', flags: 'r' }))
      .catch(() => undefined);
  }
  await second.call('garbage', Buffer.of());
  process.kill(second.pid, 'SIGKILL');
  launcher.signal('SIGCONT');
  await launcher.reconciler();
  assert.equal(await descriptors(launcher), before);
});

test('refuses what its own limit of open files has no room for, and goes on', async () => {
  await using launcher = await startLauncher({}, { wrapper: ['prlimit', '--nofile=400:400'] });
  const reconciler = await launcher.reconciler();
  const root = await makeRoot(launcher);
  let id = 0;
  const fill = async (): Promise<void> => {
    for (;;) await prepare(reconciler, ++id, sandbox(root));
  };
  await assert.rejects(fill(), { code: 'EMFILE' });
  assert.ok(id > 10);
  await Promise.all([1, 2, 3].map((each) => reconciler.call('forget', each)));
  await prepare(reconciler, ++id, sandbox(root));
  await go(reconciler, id, ['exit', '0']);
  await until(reconciler, id, 'exited');
  assert.doesNotMatch(launcher.log(), /malformed/);
});

test('makes a sandbox of as many mounts as descriptors can come with one request', async () => {
  await using launcher = await startLauncher();
  const reconciler = await launcher.reconciler();
  const root = await makeRoot(launcher, 252);
  const binds = Array.from({ length: 252 }, (_, place): Op => {
    return { op: 'tree', fd: opened({ tree: '/etc' }), target: `/${place}` };
  });
  await prepare(reconciler, 1, sandbox(root, ...binds));
  const { pid } = await until(reconciler, 1, 'prepared');
  assert.equal(readFileSync(`/proc/${pid}/mountinfo`, 'latin1').trim().split('\n').length, 253);
  const more: Op = { op: 'tree', fd: opened({ tree: '/usr' }), target: '/0' };
  await assert.rejects(prepare(reconciler, 2, sandbox(root, ...binds, more)), {
    message: 'a request with 254 descriptors is over the limit of 253',
  });
});

test('stays small while a reconciler does not read, and tells it the last state of everything', async () => {
  await using launcher = await startLauncher();
  const reconciler = await launcher.reconciler();
  const root = await makeRoot(launcher);
  const ids = Array.from({ length: 20 }, (_, index) => index + 1);
  for (const id of ids) {
    await prepare(reconciler, id, sandbox(root));
    await go(reconciler, id, id <= 2 ? ['flood'] : ['wait', '100', 'print', '1', 'text', 'exit', `${id}`]);
  }
  const before = residentKiB(launcher);
  process.kill(reconciler.pid, 'SIGSTOP');
  await once(spawn('sleep', ['0.5']), 'exit');
  assert.ok(residentKiB(launcher) < before + 2048, `${residentKiB(launcher)} KiB after ${before}`);
  process.kill(reconciler.pid, 'SIGCONT');
  const exits = new Map<number, Attempt['exit']>();
  await reconciler.next('attempt', ({ id, exit }) => exit !== null && exits.set(id, exit).size === ids.length - 2);
  for (const [id, exit] of exits) assert.deepEqual(exit, { code: id });
});

test('leaves no process when it is killed at any moment of a start', async () => {
  const group = `/sys/fs/cgroup/unified/northstate-test-${process.pid}-${randomBytes(4).toString('hex')}`;
  mkdirSync(group);
  try {
    for (let round = 0; round < 6; round++) {
      await using launcher = await startLauncher();
      const reconciler = await launcher.reconciler();
      const root = await makeRoot(launcher);
      const into: Op = { op: 'cgroup-into', fd: opened({ file: group, flags: 'r' }) };
      for (let id = 1; id <= 10; id++) {
        void prepare(reconciler, id, sandbox(root, into)).catch(() => undefined);
        void go(reconciler, id, ['sleep']).catch(() => undefined);
      }
      // Rounds end when that many applications run.
      if (round > 0) await until(reconciler, 2 * round, 'running');
      launcher.signal('SIGKILL');
      await within('the end of every process', emptied(group));
    }
  } finally {
    await removeEmpty(group);
  }
});

/** Resolves when a cgroup v2 group has no process (cgroup.events). */
async function emptied(group: string): Promise<void> {
  const events = join(group, 'cgroup.events');
  const watcher = watch(events);
  try {
    const changed = () => once(watcher, 'change');
    for (let next = changed(); readFileSync(events, 'latin1').includes('populated 1'); next = changed()) await next;
  } finally {
    watcher.close();
  }
}

test('survives the killing of an init at any moment of its start', async () => {
  await using launcher = await startLauncher();
  const reconciler = await launcher.reconciler();
  const root = await makeRoot(launcher);
  let before = 0;
  for (let id = 1; id <= 20; id++) {
    const preparing = prepare(reconciler, id, sandbox(root)).catch(() => undefined);
    const going = go(reconciler, id, ['sleep']).catch(() => undefined);
    const [{ pid }] = await reconciler.next('attempt', (attempt) => attempt.id === id);
    process.kill(pid, 'SIGKILL');
    await Promise.all([preparing, going]);
    await reconciler.next('attempt', ({ id: of, state }) => of === id && (state === 'failed' || state === 'exited'));
    await reconciler.call('forget', id);
    if (id === 1) before = await descriptors(launcher);
  }
  assert.equal(await descriptors(launcher), before);
});

test('forgets an attempt that is still being prepared', async () => {
  await using launcher = await startLauncher();
  const reconciler = await launcher.reconciler();
  const root = await makeRoot(launcher);
  const preparing = assert.rejects(prepare(reconciler, 1, sandbox(root)), { step: 'init' });
  await Promise.all([preparing, reconciler.call('forget', 1)]).catch(async () => reconciler.call('forget', 1));
  await assert.rejects(go(reconciler, 1, ['exit', '0']), { step: 'attempt', code: 'ENOENT' });
});

test('names the write of a go list that fails', async () => {
  await using launcher = await startLauncher();
  const reconciler = await launcher.reconciler();
  await prepare(reconciler, 1, sandbox(await makeRoot(launcher)));
  const write: Op = {
    op: 'write',
    fd: opened({ file: '/dev/full', flags: 'w' }),
    bytes: Buffer.from('1000'),
    path: '/cg/max',
  };
  await assert.rejects(go(reconciler, 1, ['sleep'], write), {
    step: 'write',
    code: 'ENOSPC',
    subject: '1000 to /cg/max',
  });
  assert.equal((await until(reconciler, 1, 'failed')).exit, null);
});

test('names what cannot be executed, and why', async () => {
  await using launcher = await startLauncher();
  const reconciler = await launcher.reconciler();
  const root = await makeRoot(launcher);
  await writeFile(join(root, 'two words'), '#!/gone\n', { mode: 0o755 });
  await writeFile(join(root, 'text'), 'text', { mode: 0o755 });
  await writeFile(join(root, 'data'), '', { mode: 0o644 });
  const cases = [
    ['/two words', '', 'ENOENT'],
    ['/text', '', 'ENOEXEC'],
    ['/data', '', 'EACCES'],
    ['/probe', 'x'.repeat(131072), 'E2BIG'],
  ] as const;
  for (const [index, [path, argument, code]] of cases.entries()) {
    await prepare(reconciler, index + 1, sandbox(root));
    const exec: Op = { op: 'exec', path, arguments: [path, argument], environment: [] };
    const start = reconciler.call('go', { id: index + 1, after: 0, record: none, ops: [exec] });
    await assert.rejects(start, { step: 'exec', code, subject: path });
  }
});

test('leaves nothing of its arguments and environment in an init', async () => {
  for (const wrapper of [[], ['env', '-i']]) {
    await using launcher = await startLauncher({ SECRET: 'secret' }, { wrapper });
    const reconciler = await launcher.reconciler();
    await prepare(reconciler, 1, sandbox(await makeRoot(launcher)));
    const { pid } = await until(reconciler, 1, 'prepared');
    assert.equal(readFileSync(`/proc/${pid}/cmdline`, 'latin1'), 'northstate: name 1\0');
    assert.match(readFileSync(`/proc/${pid}/environ`, 'latin1'), /^\0*$/);
  }
});

test('takes mounts of a host whose root is shared, and gives none back', async () => {
  const host = spawn('unshare', ['--mount', '--propagation', 'shared', 'sh', '-c', 'echo; exec sleep 60']);
  await once(host.stdout, 'data');
  const enter = ['nsenter', `--mount=/proc/${host.pid}/ns/mnt`];
  try {
    await using launcher = await startLauncher({}, { wrapper: enter });
    const reconciler = await launcher.reconciler();
    const mount = (namespace: number | undefined, target: string) => {
      mkdirSync(target);
      const args = [`--mount=/proc/${namespace}/ns/mnt`, 'mount', '-t', 'tmpfs', 'none', target];
      assert.equal(spawnSync('nsenter', args).status, 0);
    };
    const table = (pid: number | undefined) => readFileSync(`/proc/${pid}/mountinfo`, 'latin1');
    const [ours, theirs] = ['ours', 'theirs'].map((name) => join(launcher.directory, name)) as [string, string];
    await prepare(reconciler, 1, sandbox(await makeRoot(launcher)));
    mount(reconciler.pid, ours);
    mount(host.pid, theirs);
    assert.ok(table(reconciler.pid).includes(ours) && table(reconciler.pid).includes(theirs));
    assert.ok(!table(host.pid).includes(ours));
    const places = (pid: number | undefined) =>
      table(pid)
        .trim()
        .split('\n')
        .map((line) => line.split(' ')[4]);
    assert.deepEqual(places(launcher.pid), ['/', '/devices']);
    assert.deepEqual(places((await until(reconciler, 1, 'prepared')).pid), ['/']);
    assert.equal(spawnSync('nsenter', [...enter.slice(1), 'umount', theirs]).status, 0);
    assert.ok(!table(reconciler.pid).includes(theirs));
  } finally {
    host.kill('SIGKILL');
  }
});

test('does all of it as PID 1 of a PID namespace', async () => {
  const wrapper = ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc'];
  await using launcher = await startLauncher({}, { wrapper });
  const reconciler = await launcher.reconciler();
  assert.equal(reconciler.remembered.hello.pid, 1);
  await prepare(reconciler, 1, sandbox(await makeRoot(launcher)));
  await go(reconciler, 1, ['exit', '7']);
  assert.deepEqual((await until(reconciler, 1, 'exited')).exit, { code: 7 });
  const [pid] = readFileSync(`/proc/${launcher.pid}/task/${launcher.pid}/children`, 'latin1').split(' ');
  process.kill(Number(pid), 'SIGTERM');
  assert.deepEqual(await reconciler.next('terminate'), [15]);
  await reconciler.call('stop', 5);
  void reconciler.call('exit', 0).catch(() => undefined);
  assert.equal(await within('the end', launcher.exited), 5);
});

test('does not wait for anybody to read what it says', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'northstate-launcher-'));
  const fifo = join(directory, 'fifo');
  spawnSync('mkfifo', [fifo]);
  const full = openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK);
  assert.throws(() => {
    for (;;) writeSync(full, Buffer.alloc(4096));
  }, /EAGAIN/);
  const dirs = ['--state-dir', directory, '--run-dir', directory];
  const stderr = openSync(fifo, constants.O_WRONLY);
  const child = spawn(launcherProgram(), [...dirs, '--', '/bin/false'], { stdio: ['ignore', 'ignore', stderr] });
  const exited = once(child, 'exit');
  const watcher = watch(directory);
  while (!existsSync(join(directory, '.lock'))) await once(watcher, 'change');
  watcher.close();
  child.kill('SIGTERM');
  assert.deepEqual(await within('the end', exited), [1, null]);
  [full, stderr].forEach((fd) => closeSync(fd));
  await rm(directory, { recursive: true });
});
