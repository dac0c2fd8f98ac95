import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  sandboxOps,
  treeAttributes,
  type SandboxInput,
  type SandboxOp,
} from '../../../../controllers/sandbox/specification.ts';
import type { Manifest } from '../../../../state/schema/manifest.ts';

const manifest: Manifest = { name: 'box', version: '1.2.3', init: '/app', uid: 1000, gid: 2000 };
const image = { path: '/run/images/box:1.2.3' };

function opsOf(fields: Partial<Manifest>, input: Partial<SandboxInput> = {}): SandboxOp[] {
  return sandboxOps({
    manifest: { ...manifest, ...fields },
    entry: { rlimits: null, oomScoreAdj: null },
    notifies: false,
    image,
    resources: new Map(),
    dataDir: '/data',
    socketDir: '/sockets',
    outputSize: 4096,
    ...input,
  });
}

function only<O extends SandboxOp['op']>(ops: readonly SandboxOp[], op: O): Extract<SandboxOp, { op: O }>[] {
  return ops.filter((each): each is Extract<SandboxOp, { op: O }> => each.op === op);
}

const all = 0x20000000 | 0x00020000 | 0x08000000 | 0x04000000 | 0x02000000;
const CLONE_NEWNET = 0x40000000;

test('makes the sandbox of the smallest manifest', () => {
  const flags = { readOnly: true, nosuid: true, nodev: true, noexec: false, recursive: false };
  const none = { bounding: 0n, permitted: 0n, effective: 0n, inheritable: 0n, ambient: 0n };
  assert.deepEqual(opsOf({}), [
    { op: 'namespaces', flags: all | CLONE_NEWNET },
    { op: 'output', stream: 1, mode: 'null', size: 0 },
    { op: 'output', stream: 2, mode: 'null', size: 0 },
    { op: 'hostname', name: 'box' },
    { op: 'root', source: { kind: 'image', ...image }, flags },
    { op: 'pivot' },
    { op: 'umask', mask: 0o22 },
    { op: 'cwd', path: '/' },
    { op: 'identity', uid: 1000, gid: 2000, groups: [] },
    { op: 'capabilities', ...none },
  ]);
});

test('joins no network namespace, a named one, or makes its own', () => {
  assert.equal(only(opsOf({ network: 'host' }), 'namespaces')[0]?.flags, all);
  const named = opsOf({ network: { namespace: 'lan' } });
  assert.equal(only(named, 'namespaces')[0]?.flags, all);
  assert.deepEqual(only(named, 'network'), [{ op: 'network', namespace: 'lan' }]);
});

test('keeps output that the manifest wants in the log, and passes on what inherits', () => {
  const ops = opsOf({ io: { stdout: 'pipe', stderr: 'inherit' } });
  assert.deepEqual(only(ops, 'output'), [
    { op: 'output', stream: 1, mode: 'ring', size: 4096 },
    { op: 'output', stream: 2, mode: 'relay', size: 0 },
  ]);
  assert.deepEqual(
    only(opsOf({}), 'output').map(({ mode }) => mode),
    ['null', 'null'],
  );
});

test('mounts parents before what lies in them, in no order of the manifest', () => {
  const mounts = new Map(
    ['/b/c/d', '/b', '/a-b', '/b/c', '/a/b', '/a'].map((target) => [target, { type: 'tmpfs', size: 1 }] as const),
  );
  const targets = only(opsOf({ mounts }), 'filesystem').map(({ target }) => target);
  assert.deepEqual(targets, ['/a', '/a/b', '/a-b', '/b', '/b/c', '/b/c/d']);
});

test('turns each kind of mount into its operation', () => {
  const mounts: Manifest['mounts'] = new Map([
    ['/bind', { type: 'bind', host: '/srv', options: ['rw', 'noexec', 'rec'] }],
    ['/data', { type: 'persist' }],
    ['/dev', { type: 'dev' }],
    ['/proc', { type: 'proc' }],
    ['/shared', { type: 'resource', name: 'lib', version: '^1', dir: '/lib', options: ['rw', 'noexec'] }],
    ['/sockets', { type: 'sockets' }],
    ['/sys', { type: 'sysfs' }],
    ['/tmp', { type: 'tmpfs', size: 20_000_000 }],
  ]);
  const lib = { id: 'lib:1.5.0', path: '/run/images/lib:1.5.0' };
  const all = opsOf({ mounts }, { resources: new Map([['/shared', lib]]) });
  const ops = all.filter(({ op }) => op !== 'mask');
  const first = ops.findIndex(({ op }) => op === 'root') + 1;
  const kernel = { attributes: 15, options: [] };
  const flags = { readOnly: true, nosuid: true, nodev: true, noexec: true, recursive: false };
  const srv = { readOnly: false, nosuid: false, nodev: false, noexec: true, recursive: true };
  assert.deepEqual(ops.slice(first, first + 8), [
    { op: 'tree', source: { kind: 'bind', path: '/srv' }, flags: srv, target: '/bind' },
    {
      op: 'tree',
      source: { kind: 'persist', path: '/data/box' },
      flags: { ...flags, readOnly: false },
      target: '/data',
    },
    { op: 'devices', image: image.path, target: '/dev', links: true },
    { op: 'filesystem', type: 'proc', target: '/proc', ...kernel },
    { op: 'tree', source: { kind: 'resource', ...lib, dir: '/lib' }, flags, target: '/shared' },
    { op: 'tree', source: { kind: 'sockets', path: '/sockets' }, flags, target: '/sockets' },
    { op: 'filesystem', type: 'sysfs', target: '/sys', ...kernel },
    { op: 'filesystem', type: 'tmpfs', target: '/tmp', attributes: 14, options: ['size=20000000', 'mode=1777'] },
  ]);
});

test('has the socket of who says how it is in its /dev', () => {
  const dev = (target: string) => opsOf({ mounts: new Map([[target, { type: 'dev' }]]) }, { notifies: true });
  const [devices] = only(dev('/dev'), 'devices');
  assert.equal(devices?.socket, '/dev/northstate-notify');
  // Longer than an address may be: its name is an abstract one.
  assert.equal(only(dev(`/${'d'.repeat(90)}`), 'devices')[0]?.socket, undefined);
});

test('hides what proc and sysfs tell of the host, right after they are mounted', () => {
  const mounts: Manifest['mounts'] = new Map([
    ['/p', { type: 'proc' }],
    ['/s', { type: 'sysfs' }],
  ]);
  const ops = opsOf({ mounts });
  const proc = ops.findIndex((op) => op.op === 'filesystem' && op.target === '/p');
  const sysfs = ops.findIndex((op) => op.op === 'filesystem' && op.target === '/s');
  const [first, ...rest] = ops.slice(proc + 1, sysfs).map((op) => (op.op === 'mask' ? op.path : op.op));
  assert.deepEqual([first, rest.length], ['/p/acpi', 8]);
  assert.deepEqual(ops.slice(sysfs + 1, sysfs + 3), [
    { op: 'mask', path: '/s/devices/virtual/powercap' },
    { op: 'mask', path: '/s/firmware' },
  ]);
});

test('lets no device node of the image work by itself, /dev or not', () => {
  const nodev = (mounts: Manifest['mounts']) => only(opsOf({ mounts }), 'root')[0]?.flags.nodev;
  assert.equal(nodev(undefined), true);
  assert.equal(nodev(new Map([['/dev', { type: 'dev' }]])), true);
});

test('takes devices away from what a container may write to that may make some, but for a bind of /dev', () => {
  const nodev = (host: string, options: 'rw'[], capabilities: Manifest['capabilities']) => {
    const mounts: Manifest['mounts'] = new Map([['/at', { type: 'bind', host, options }]]);
    return only(opsOf({ mounts, capabilities }), 'tree')[0]?.flags.nodev;
  };
  assert.equal(nodev('/srv', ['rw'], ['CAP_MKNOD']), true);
  assert.equal(nodev('/srv', ['rw'], ['CAP_CHOWN']), false);
  assert.equal(nodev('/srv', [], ['CAP_MKNOD']), false);
  assert.equal(nodev('/dev/net', ['rw'], ['CAP_MKNOD']), false);
});

test('names a resource that nothing installed fits', () => {
  const mounts = new Map([['/shared', { type: 'resource', name: 'lib', version: '^9', dir: '/' } as const]]);
  assert.throws(() => opsOf({ mounts }), {
    name: 'TerminalError',
    reason: 'MissingResource',
    message: 'no installed version of lib matches ^9',
  });
});

test('takes the resource limits of the entry in place of the manifest’s', () => {
  const rlimits = { nofile: { soft: 64, hard: 128 }, core: { soft: 0, hard: null } };
  assert.deepEqual(only(opsOf({ rlimits }), 'rlimit'), [
    { op: 'rlimit', resource: 7, soft: 64, hard: 128 },
    { op: 'rlimit', resource: 4, soft: 0, hard: null },
  ]);
  const entry = { rlimits: { nproc: { soft: 1, hard: 2 } }, oomScoreAdj: null };
  assert.deepEqual(only(opsOf({ rlimits }, { entry }), 'rlimit'), [{ op: 'rlimit', resource: 6, soft: 1, hard: 2 }]);
});

test('takes the out-of-memory score of the entry in place of the manifest’s, and none for 0', () => {
  const scores = (manifest: number | undefined, entry: number | null): SandboxOp[] =>
    only(
      opsOf(
        { ...(manifest !== undefined && { oom_score_adj: manifest }) },
        { entry: { rlimits: null, oomScoreAdj: entry } },
      ),
      'oom-score',
    );
  assert.deepEqual(scores(undefined, null), []);
  assert.deepEqual(scores(500, null), [{ op: 'oom-score', score: 500 }]);
  assert.deepEqual(scores(500, -100), [{ op: 'oom-score', score: -100 }]);
  assert.deepEqual(scores(500, 0), []);
});

const policies = [
  ['idle', [5, 0, 0]],
  [{ other: { nice: 3 } }, [0, 3, 0]],
  [{ batch: { nice: -4 } }, [3, -4, 0]],
  [{ fifo: { priority: 7 } }, [1, 0, 7]],
  [{ round_robin: { priority: 99 } }, [2, 0, 99]],
] as const;
for (const [policy, [number, nice, priority]] of policies) {
  test(`schedules by ${JSON.stringify(policy)}`, () => {
    assert.deepEqual(only(opsOf({ sched: { policy } }), 'schedule'), [
      { op: 'schedule', policy: number, nice, priority },
    ]);
  });
}

test('refuses what no sandbox can give', () => {
  assert.throws(() => opsOf({ sched: { policy: 'deadline' } }), { reason: 'StartFailed', message: /deadline/ });
});

test('puts capabilities into all five sets', () => {
  const [op] = only(opsOf({ capabilities: ['CAP_CHOWN', 'CAP_CHECKPOINT_RESTORE'] }), 'capabilities');
  const set = 1n | (1n << 40n);
  assert.deepEqual(op, {
    op: 'capabilities',
    bounding: set,
    permitted: set,
    effective: set,
    inheritable: set,
    ambient: set,
  });
});

test('filters system calls last, and only where the manifest has a seccomp section', () => {
  const seccomp = { profile: 'default' } as const;
  assert.deepEqual(opsOf({ seccomp, capabilities: ['CAP_CHOWN'] }).at(-1), {
    op: 'filter',
    seccomp,
    capabilities: ['CAP_CHOWN'],
  });
});

test('cuts a long name to what a host name may be', () => {
  assert.deepEqual(only(opsOf({ name: 'n'.repeat(100) }), 'hostname'), [{ op: 'hostname', name: 'n'.repeat(64) }]);
});

test('turns flags into attributes of a mount', () => {
  const flags = { readOnly: true, nosuid: false, nodev: true, noexec: false, recursive: true };
  assert.equal(treeAttributes(flags), 1 | 4);
});
