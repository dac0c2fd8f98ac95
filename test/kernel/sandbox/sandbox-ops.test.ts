// Operations beyond what packages ask for, and what stands in their way: lists given to the launcher as they are.
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Op } from '../../../native/wire/ops.ts';
import { opened } from '../../support/values.ts';
import { probe, probePackage } from '../../support/packages.ts';
import { openBoxes } from '../../support/boxes.ts';
import { endOf, hostPid } from '../../support/container-processes.ts';
import { detectHierarchies } from '../../../controllers/cgroups/cgroups-observe.ts';
import { removeEmpty } from '../../support/leftover-groups.ts';

const hierarchies = detectHierarchies();
const boxes = await openBoxes();
after(() => boxes[Symbol.asyncDispose]());
const image = mkdtempSync(join(tmpdir(), 'northstate-image-'));
after(() => rmSync(image, { recursive: true }));
chmodSync(image, 0o755);
mkdirSync(join(image, 'within'));
symlinkSync('/within', join(image, 'absolute'));
symlinkSync('../../../within', join(image, 'dotdot'));
symlinkSync('loop', join(image, 'loop'));
await copyFile(await probe(), join(image, 'probe'));

const all = 0x20000000 | 0x00020000 | 0x08000000 | 0x04000000 | 0x40000000;
let last = 1000;

/** Prepares a list of ops on the image; gives the attempt's id. */
async function prepare(...ops: readonly Op[]): Promise<number> {
  const id = ++last;
  const list: Op[] = [
    { op: 'namespaces', flags: all },
    { op: 'output', stream: 1, mode: 'ring', size: 4096 },
    { op: 'root', fd: opened({ tree: image }) },
    ...ops,
  ];
  const spec = { id, name: 'ops', hash: '00'.repeat(32), record: Buffer.alloc(0), ops: list };
  await boxes.reconciler.call('prepare', spec);
  return id;
}

async function go(id: number, args: readonly string[], ...ops: readonly Op[]): Promise<void> {
  const exec: Op = { op: 'exec', path: '/probe', arguments: ['/probe', ...args], environment: [] };
  await boxes.reconciler.call('go', { id, after: 0, record: Buffer.alloc(0), ops: [...ops, exec] });
}

async function pidOf(id: number): Promise<number> {
  const [{ pid }] = await boxes.reconciler.next('attempt', (seen) => seen.id === id && seen.state === 'prepared');
  return pid;
}

function targets(pid: number): string[] {
  return readFileSync(`/proc/${pid}/mountinfo`, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '');
}

test('names the target of a mount that is not there', async () => {
  const etc = opened({ tree: '/etc' });
  for (const [target, code] of [
    ['/gone', 'ENOENT'],
    ['/probe/below', 'ENOTDIR'],
    ['/loop', 'ELOOP'],
    ['/probe', 'EINVAL'],
  ] as const) {
    await assert.rejects(prepare({ op: 'tree', fd: etc, target }), { step: 'tree', code, subject: target });
  }
  const proc: Op = { op: 'filesystem', type: 'proc', target: '/gone', attributes: 0, options: [] };
  await assert.rejects(prepare(proc), { step: 'filesystem', code: 'ENOENT', subject: '/gone' });
});

test('holds a target inside of the new root, whatever links it goes through', async () => {
  for (const target of ['/absolute', '/dotdot', '/../../../within', 'within/../within']) {
    const id = await prepare({ op: 'tree', fd: opened({ tree: '/etc' }), target }, { op: 'pivot' });
    const pid = await pidOf(id);
    assert.deepEqual(targets(pid), ['/', '/within']);
    await boxes.reconciler.call('forget', id);
  }
});

test('names a file system and an option that the kernel does not know', async () => {
  const of = (type: string, ...options: string[]): Op => ({
    op: 'filesystem',
    type,
    target: '/within',
    attributes: 0,
    options,
  });
  await assert.rejects(prepare(of('nofs')), { step: 'filesystem', code: 'ENODEV', subject: 'nofs for /within' });
  await assert.rejects(prepare(of('tmpfs', 'colour=red')), { step: 'filesystem', code: 'EINVAL' });
});

test('makes nodes, directories and links with their modes, in the new root only', async () => {
  const id = await prepare(
    { op: 'filesystem', type: 'tmpfs', target: '/within', attributes: 0, options: [] },
    { op: 'node', path: '/within/zero', mode: 0o020666, major: 1, minor: 5 },
    { op: 'node', path: '/absolute/dir', mode: 0o040711, major: 0, minor: 0 },
    { op: 'symlink', target: '/anywhere', path: '/within/dir/link' },
    { op: 'pivot' },
  );
  const root = `/proc/${await pidOf(id)}/root/within`;
  assert.deepEqual([statSync(`${root}/zero`).rdev, statSync(`${root}/zero`).mode], [0x105, 0o020666]);
  assert.equal(statSync(`${root}/dir`).mode, 0o040711);
  await boxes.reconciler.call('forget', id);
  const beyond: Op = { op: 'node', path: '/gone/null', mode: 0o020666, major: 1, minor: 3 };
  await assert.rejects(prepare(beyond), { step: 'node', code: 'ENOENT', subject: '/gone/null' });
});

test('changes attributes of mounts in the new root', async () => {
  const id = await prepare(
    { op: 'filesystem', type: 'tmpfs', target: '/within', attributes: 0, options: [] },
    { op: 'pivot' },
    { op: 'attributes', target: '/', set: 1, clear: 0, recursive: true },
  );
  const info = readFileSync(`/proc/${await pidOf(id)}/mountinfo`, 'utf8')
    .trimEnd()
    .split('\n');
  for (const line of info) assert.match(line.split(' ')[5] ?? '', /^ro/);
  await boxes.reconciler.call('forget', id);
});

test('gives the application the descriptors of the go list at their numbers, and no other', async () => {
  const one = join(image, 'one');
  const id = await prepare({ op: 'pivot' }, { op: 'ids', uid: 1000, gid: 1000, groups: [] });
  await go(
    id,
    ['print', '5', 'five', 'print', '4', 'four', 'fds'],
    { op: 'descriptor', fd: opened({ file: `${one}-five`, flags: 'w' }), number: 5 },
    { op: 'descriptor', fd: opened({ file: `${one}-four`, flags: 'w' }), number: 4 },
  );
  await boxes.reconciler.next('attempt', (seen) => seen.id === id && seen.state === 'exited');
  assert.equal(readFileSync(`${one}-five`, 'utf8'), 'five\n');
  assert.equal(readFileSync(`${one}-four`, 'utf8'), 'four\n');
  const { data } = await boxes.reconciler.call('read', id, 0, 4096);
  assert.match(Buffer.from(data).toString('latin1'), /0\n.*1\n.*2\n.*4\n.*5\n$/s);
});

test('does not start an application that cannot have one of the things that it is to have', async () => {
  const failing: readonly (readonly [Op, object])[] = [
    [
      { op: 'cwd', path: '/gone' },
      { step: 'cwd', code: 'ENOENT', subject: '/gone' },
    ],
    [
      { op: 'seccomp', filter: Buffer.from('ffff000000000000', 'hex') },
      { step: 'seccomp', code: 'EINVAL' },
    ],
    [
      { op: 'schedule', policy: 99, nice: 0, priority: 0 },
      { step: 'schedule', code: 'EINVAL' },
    ],
  ];
  for (const [op, failure] of failing) {
    await assert.rejects(
      prepare({ op: 'pivot' }, op).then((id) => go(id, ['exit', '0'])),
      failure,
    );
  }
});

test('puts the processes of a container into its control groups before anything runs in them', async () => {
  const name = `northstate-test-${process.pid}-${randomBytes(4).toString('hex')}`;
  const mounts = [hierarchies.legacy.get('cpu'), hierarchies.legacy.get('memory')].filter(
    (mount) => mount !== undefined,
  );
  const legacy = [...new Set(mounts)].map((mount) => join(mount, name));
  const unified = hierarchies.unified === null ? null : join(hierarchies.unified, name);
  const groups = [...legacy, ...(unified === null ? [] : [unified])];
  groups.forEach((group) => mkdirSync(group));
  try {
    const app = await probePackage({ name: 'grouped', fields: 'mounts: { /proc: { type: proc } }' });
    const running = await boxes.launch({
      package: app,
      args: ['cat', '/proc/self/cgroup', 'sleep'],
      procs: legacy.map((group) => join(group, 'cgroup.procs')),
      ...(unified === null ? {} : { group: unified }),
    });
    for (const pid of [running.pid, hostPid(running)]) {
      const lines = readFileSync(`/proc/${pid}/cgroup`, 'utf8')
        .split('\n')
        .filter((line) => line.endsWith(`/${name}`));
      assert.equal(lines.length, groups.length);
    }
    await boxes.reconciler.call('kill', running.id, 9);
    // Its own groups are all that it sees of them.
    const { stdout } = await boxes.ended(running);
    assert.equal(stdout.split('\n').filter((line) => line.endsWith(':/')).length, stdout.trim().split('\n').length);
  } finally {
    await Promise.all(groups.map(removeEmpty));
  }
});

test('names a control group that cannot be joined', async () => {
  const mount = [...hierarchies.legacy.values(), hierarchies.unified][0] ?? '';
  const read = opened({ file: join(mount, 'cgroup.procs'), flags: 'r' });
  await assert.rejects(prepare({ op: 'cgroup-join', fd: read }), { step: 'cgroup-join', code: 'EBADF' });
  await assert.rejects(prepare({ op: 'cgroup-into', fd: opened({ file: '/etc', flags: 'r' }) }), {
    step: 'cgroup-into',
    code: 'EBADF',
  });
});

test('ends inits and applications with the launcher', async () => {
  await using others = await openBoxes();
  const app = await probePackage({ name: 'orphaned' });
  const prepared = await others.prepare({ package: app });
  const running = await others.launch({ package: app, args: ['ignore', '15', 'sleep'] });
  const ends = [prepared, running].map(({ pid }) => endOf(pid));
  others.launcher.signal('SIGKILL');
  await Promise.all(ends);
});
