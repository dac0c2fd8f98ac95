// A start as the application sees it: who it is, what it has open, how its end is told.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { mkdir, mkdtempDisposable, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { syscallNumber } from '../../../native/numbers.ts';
import { probePackage } from '../../support/packages.ts';
import { fixture, openBoxes } from '../../support/boxes.ts';
import { field, hostPid } from '../../support/container-processes.ts';

const boxes = await openBoxes();
after(() => boxes[Symbol.asyncDispose]());
const app = await probePackage({ name: 'app', fields: 'mounts: { /proc: { type: proc } }' });

test('starts the smallest package', async () => {
  const running = await boxes.launch({ package: fixture('minimal-1.0.0') });
  assert.equal(running.state, 'running');
  await boxes.reconciler.call('kill', running.id, 9);
  assert.deepEqual((await boxes.ended(running)).exit, { signal: 9 });
});

test('tells the exit codes of applications', async () => {
  for (const code of [0, 1, 10, 127, 128, 255]) {
    assert.deepEqual((await boxes.run({ package: app, args: ['exit', String(code)] })).exit, { code });
  }
});

test('tells the signal that ended an application', async () => {
  for (const signal of [6, 9, 11, 15]) {
    assert.deepEqual((await boxes.run({ package: app, args: ['raise', String(signal)] })).exit, { signal });
  }
  assert.deepEqual((await boxes.run({ package: fixture('segfault-1.0.0') })).exit, { signal: 11 });
  assert.deepEqual((await boxes.run({ package: fixture('exit-7-1.0.0') })).exit, { code: 7 });
});

test('runs the application with the ids of the manifest, as a child in the session of PID 1', async () => {
  const { stdout } = await boxes.run({ package: app, args: ['ids'] });
  assert.equal(stdout, 'uid 1000\ngid 1000\npid 2\nppid 1\nsid 1\npgid 1\n');
});

test('opens nothing but 0, 1 and 2 for the application', async () => {
  const { stdout } = await boxes.run({ package: app, args: ['fds'] });
  assert.equal(stdout, '0\n1\n2\n');
});

test('keeps what the application writes on both streams apart', async () => {
  const { stdout, stderr } = await boxes.run({ package: app, args: ['print', '1', 'out', 'print', '2', 'error'] });
  assert.deepEqual([stdout, stderr], ['out\n', 'error\n']);
});

test('lets an application that is not root open its outputs again by name', async () => {
  const again = { package: app, args: ['write', '/proc/self/fd/1', 'out', 'write', '/proc/self/fd/2', 'error'] };
  assert.deepEqual(await boxes.run(again), { exit: { code: 0 }, stdout: 'out', stderr: 'error' });
});

test('leaves the application no right, no blocked and no ignored signal', async () => {
  const { stdout } = await boxes.run({ package: app, args: ['cat', '/proc/self/status'] });
  for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb', 'SigBlk', 'SigIgn', 'SigCgt']) {
    assert.equal(field(stdout, set), '0000000000000000', set);
  }
  assert.equal(field(stdout, 'NoNewPrivs'), '1');
  assert.equal(field(stdout, 'Umask'), '0022');
  assert.equal(field(stdout, 'Seccomp'), '0');
  assert.equal(field(stdout, 'Groups'), '');
});

test('gives exactly the capabilities that the manifest names, in all five sets', async () => {
  const named = await probePackage({
    name: 'named',
    fields: 'mounts: { /proc: { type: proc } }\ncapabilities: [CAP_NET_RAW, CAP_SYS_TIME]',
  });
  const { stdout } = await boxes.run({ package: named, args: ['cat', '/proc/self/status'] });
  for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) {
    assert.equal(field(stdout, set), '0000000002002000', set);
  }
});

const callNumber = {
  prctl: syscallNumber('prctl', { x64: 157, arm64: 167 }),
  keyctl: syscallNumber('keyctl', { x64: 250, arm64: 219 }),
};

test('locks what becomes of capabilities, uid 0 or not', async () => {
  const PR_GET_SECUREBITS = 27;
  const { stdout } = await boxes.run({
    package: app,
    args: ['call', `${callNumber.prctl}`, `${PR_GET_SECUREBITS}`, '0', '0'],
  });
  // SECBIT_NOROOT, and the lock of each of the four.
  assert.equal(Number(stdout), 0b10101011);
});

test('gives every container keys of its own', async () => {
  const KEY_SPEC_SESSION_KEYRING = String(2 ** 32 - 3);
  const args = ['call', `${callNumber.keyctl}`, '0', KEY_SPEC_SESSION_KEYRING, '0'];
  const one = Number((await boxes.run({ package: app, args })).stdout);
  const other = Number((await boxes.run({ package: app, args })).stdout);
  assert.ok(one > 0, `${one}`);
  assert.notEqual(one, other);
});

test('refuses a capability that the launcher does not have itself', async (context) => {
  const permitted = BigInt(`0x${field(readFileSync('/proc/self/status', 'utf8'), 'CapPrm')}`);
  const resource = await probePackage({ name: 'resource', fields: 'capabilities: [CAP_SYS_RESOURCE]' });
  if ((permitted & (1n << 24n)) === 0n) {
    await assert.rejects(boxes.run({ package: resource }), {
      step: 'capabilities',
      code: 'EPERM',
      subject: 'capability 24, which the runtime lacks',
    });
  } else {
    context.diagnostic('this host has them all');
    assert.deepEqual((await boxes.run({ package: resource, args: ['exit', '0'] })).exit, { code: 0 });
  }
});

test('takes supplementary groups from the host and skips those that it does not know', async () => {
  const groups = await probePackage({
    name: 'groups',
    fields: 'mounts: { /proc: { type: proc } }\nsuppl_groups: [daemon, no-such-group]',
  });
  const { stdout } = await boxes.run({ package: groups, args: ['cat', '/proc/self/status'] });
  assert.equal(field(stdout, 'Groups'), '1');
});

test('adds nothing to the environment but the names of the container', async () => {
  const env = await probePackage({ name: 'env', fields: 'env: { COLOUR: red, HOME: / }' });
  const { stdout } = await boxes.run({ package: env, args: ['env'], env: { HOME: null, LEVEL: 'debug' } });
  assert.deepEqual(stdout.trimEnd().split('\n'), [
    'COLOUR=red',
    'LEVEL=debug',
    'NORTHSTAR_NAME=env',
    'NORTHSTAR_VERSION=1.0.0',
    'NORTHSTAR_CONTAINER=env:1.0.0',
  ]);
});

test('passes the init as argument 0', async () => {
  const { stdout } = await boxes.run({ package: app, init: '/../probe', args: ['args', 'exit', '0'] });
  assert.equal(stdout, '/../probe\nargs\nexit\n0\n');
});

test('gives the application /dev/null for its input', async () => {
  const running = await boxes.launch({ package: app, args: ['sleep'] });
  const input = statSync(`/proc/${hostPid(running)}/fd/0`);
  assert.ok(input.isCharacterDevice());
  assert.equal(input.rdev, 0x103);
  await boxes.reconciler.call('kill', running.id, 9);
});

test('leaves the init no right but to signal, and no descriptor but its control socket', async () => {
  const running = await boxes.launch({ package: app, args: ['sleep'] });
  const status = readFileSync(`/proc/${running.pid}/status`, 'utf8');
  for (const set of ['CapInh', 'CapAmb']) assert.equal(field(status, set), '0000000000000000', set);
  for (const set of ['CapPrm', 'CapEff']) assert.equal(field(status, set), '0000000000000020', set);
  assert.match(status, /^Uid:\t1000\t1000\t1000\t1000$/m);
  assert.equal(readdirSync(`/proc/${running.pid}/fd`).length, 1);
  await boxes.reconciler.call('kill', running.id, 9);
});

test('keeps the program of the init from the application', async () => {
  const { exit } = await boxes.run({ package: app, args: ['cat', '/proc/1/exe'] });
  assert.deepEqual(exit, { code: 13 });
});

test('tells the application nothing of the host in the command line of the init', async () => {
  const title = 'northstate: app';
  assert.equal((await boxes.run({ package: app, args: ['cat', '/proc/1/cmdline'] })).stdout.replace(/\0+$/, ''), title);
  assert.equal((await boxes.run({ package: app, args: ['cat', '/proc/1/comm'] })).stdout, `${title.slice(0, 15)}\n`);
  assert.deepEqual((await boxes.run({ package: app, args: ['cat', '/proc/1/environ'] })).exit, { code: 13 });
});

test('reaps what the application leaves behind', async () => {
  const { stdout } = await boxes.run({
    package: app,
    args: ['orphans', '5', 'wait', '100', 'cat', '/proc/1/task/1/children'],
  });
  assert.equal(stdout.trim(), '2');
});

test('passes signals on to the application', async () => {
  const running = await boxes.launch({ package: app, args: ['signals'] });
  // New output is told once after each read.
  const written = async (text: string): Promise<void> => {
    for (;;) {
      const { data } = await boxes.reconciler.call('read', running.id, 0, 131072);
      if (Buffer.from(data).includes(text)) return;
      await boxes.reconciler.next('output', (id) => id === running.id);
    }
  };
  await written('ready');
  for (const signal of [1, 10, 12, 28]) {
    await boxes.reconciler.call('kill', running.id, signal);
    await written(`${signal}\n`);
  }
  await boxes.reconciler.call('kill', running.id, 15);
  const { stdout, exit } = await boxes.ended(running);
  assert.equal(stdout, 'ready\nsignal 1\nsignal 10\nsignal 12\nsignal 28\nsignal 15\n');
  assert.deepEqual(exit, { code: 0 });
});

test('ends the whole container with its application', async () => {
  const running = await boxes.launch({ package: app, args: ['orphans', '1', 'exit', '3'] });
  assert.deepEqual((await boxes.ended(running)).exit, { code: 3 });
  assert.throws(() => process.kill(running.pid, 0), { code: 'ESRCH' });
});

test('names an init that is missing, is not executable or is a directory', async () => {
  const files = await probePackage({ name: 'files', files: { 'text.txt': 'no program', 'dir/file': '' } });
  await assert.rejects(boxes.run({ package: fixture('bad-init-1.0.0') }), { step: 'exec', code: 'ENOENT' });
  await assert.rejects(boxes.run({ package: files, init: '/gone' }), {
    step: 'exec',
    code: 'ENOENT',
    subject: '/gone',
  });
  await assert.rejects(boxes.run({ package: files, init: '/text.txt' }), { step: 'exec', code: 'EACCES' });
  await assert.rejects(boxes.run({ package: files, init: '/dir' }), { step: 'exec', code: 'EACCES', subject: '/dir' });
});

test('applies resource limits', async () => {
  const limited = { package: app, args: ['cat', '/proc/self/limits'], rlimits: { nofile: { soft: 64, hard: 128 } } };
  const { stdout } = await boxes.run(limited);
  assert.match(stdout, /Max open files +64 +128 /);
});

test('applies all sixteen resource limits', async () => {
  const names = {
    ...{ cpu: 'cpu time', fsize: 'file size', data: 'data size', stack: 'stack size', core: 'core file size' },
    ...{ rss: 'resident set', nproc: 'processes', nofile: 'open files', memlock: 'locked memory', as: 'address space' },
    ...{ locks: 'file locks', sigpending: 'pending signals', msgqueue: 'msgqueue size', nice: 'nice priority' },
    ...{ rtprio: 'realtime priority', rttime: 'realtime timeout' },
  };
  // None is above what any host has for root; the last few are 0 there, mostly.
  const hard = (name: string) => ({ nice: 0, rtprio: 0, nproc: 200, nofile: 200, stack: 1 << 20, as: 1 << 30 })[name];
  const rlimits = Object.fromEntries(
    Object.keys(names).map((name, index) => [
      name,
      { soft: Math.min(hard(name) ?? 40, 40 + index), hard: hard(name) ?? 60 },
    ]),
  );
  rlimits['stack'] = { soft: 1 << 19, hard: 1 << 20 };
  rlimits['as'] = { soft: 1 << 29, hard: 1 << 30 };
  const memory = { data: 1 << 24, memlock: 1 << 12, fsize: 1 << 20 };
  for (const [name, soft] of Object.entries(memory)) rlimits[name] = { soft, hard: 2 * soft };
  const { stdout } = await boxes.run({ package: app, args: ['cat', '/proc/self/limits'], rlimits });
  for (const [name, text] of Object.entries(names)) {
    const [, soft, limit] = new RegExp(`^Max ${text} +(\\d+) +(\\d+) `, 'm').exec(stdout) ?? [];
    assert.deepEqual([Number(soft), Number(limit)], [rlimits[name]?.soft, rlimits[name]?.hard], name);
  }
});

test('says which resource limit cannot be set, and why', async () => {
  const above = { soft: 64, hard: 2 ** 40 };
  await assert.rejects(boxes.run({ package: app, rlimits: { nofile: above } }), {
    step: 'rlimit',
    code: 'EPERM',
    subject:
      /^nofile 1099511627776: (to raise it takes CAP_SYS_RESOURCE, which the runtime lacks|it is above fs\.nr_open)$/,
  });
  await assert.rejects(boxes.run({ package: app, rlimits: { nproc: { soft: 6, hard: 5 } } }), {
    step: 'rlimit',
    code: 'EINVAL',
    subject: 'nproc 5: the soft limit is above the hard one',
  });
});

test('tells a policy that takes a label where there is none', async () => {
  const labelled = await probePackage({ name: 'labelled', fields: 'selinux: { exec: "user_u:role_r:type_t" }' });
  assert.deepEqual((await boxes.run({ package: labelled, args: ['exit', '0'] })).exit, { code: 0 });
  await assert.rejects(boxes.run({ package: labelled, selinux: true }), {
    step: 'label',
    subject: 'user_u:role_r:type_t',
  });
});

const policies = [
  ['!other { nice: 5 }', 0, 5, 0],
  ['!batch { nice: -3 }', 3, -3, 0],
  ['!fifo { priority: 7 }', 1, 0, 7],
  ['!round_robin { priority: 99 }', 2, 0, 99],
] as const;
for (const [policy, number, nice, priority] of policies) {
  test(`schedules the application by ${policy}, and not its init`, async () => {
    const name = `sched-${number}`;
    const box = await probePackage({ name, fields: `sched: { policy: ${policy} }` });
    const running = await boxes.launch({ package: box, args: ['sleep'] });
    const stat = statOf(hostPid(running));
    assert.deepEqual([stat.policy, stat.nice, stat.priority], [number, nice, priority]);
    assert.deepEqual(statOf(running.pid).policy, 0);
    await boxes.reconciler.call('kill', running.id, 9);
  });
}

test('runs the application only when nobody else wants to, where its policy is idle', async () => {
  const idle = await probePackage({ name: 'idle', fields: 'sched: { policy: idle }' });
  const running = await boxes.launch({ package: idle, args: ['sleep'] });
  assert.equal(statOf(hostPid(running)).policy, 5);
  assert.equal(statOf(running.pid).policy, 0);
  await boxes.reconciler.call('kill', running.id, 9);
});

/** Fields of proc_pid_stat(5). */
function statOf(pid: number): { policy: number; nice: number; priority: number } {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [nice, priority, policy] = [fields[16], fields[37], fields[38]].map(Number);
  return { policy: policy ?? NaN, nice: nice ?? NaN, priority: priority ?? NaN };
}

test('takes the death of a prepared init for a failure, not for an exit', async () => {
  const prepared = await boxes.prepare({ package: app });
  process.kill(prepared.pid, 'SIGKILL');
  const [failed] = await boxes.reconciler.next(
    'attempt',
    ({ id, state }) => id === prepared.id && state !== 'prepared',
  );
  assert.deepEqual([failed.state, failed.exit, failed.failure?.step], ['failed', null, 'init']);
});

test('gives the persist directory to the user of the container, when it starts and not before', async () => {
  const persist = await probePackage({ name: 'persist', fields: 'mounts: { /data: { type: persist } }' });
  const box = { package: persist, args: ['write', '/data/file', 'kept'] };
  const directory = join(boxes.dataDir, 'persist');
  const prepared = await boxes.prepare(box);
  assert.deepEqual([statSync(directory).uid, statSync(directory).mode & 0o7777], [0, 0o700]);
  const { exit } = await boxes.ended(await boxes.start(prepared, box));
  assert.deepEqual(exit, { code: 0 });
  assert.deepEqual([statSync(directory).uid, statSync(directory).mode & 0o7777], [1000, 0o700]);
  assert.equal(readFileSync(join(directory, 'file'), 'utf8'), 'kept');
});

test('makes the same hash of the same sandbox, and another one when what it is made from changes', async () => {
  const box = { package: app, rlimits: { nofile: { soft: 64, hard: 128 } } };
  assert.equal(await boxes.hash(box), await boxes.hash(box));
  assert.notEqual(await boxes.hash(box), await boxes.hash({ package: app }));
  assert.equal((await boxes.prepare(box)).hash, await boxes.hash(box));
});

test('a hash says what the names of a package lead to on the host now, also when nothing else is other', async () => {
  await using scratch = await mkdtempDisposable(join(tmpdir(), 'northstate-bound-'));
  const host = join(scratch.path, 'host');
  const fields = `mounts: { /mnt: { type: bind, host: ${host} } }`;
  const box = { package: await probePackage({ name: 'bound', fields }) };
  const missing = await boxes.hash(box);
  await mkdir(host);
  const first = await boxes.hash(box);
  assert.equal(await boxes.hash(box), first);
  await rename(host, `${host}.old`);
  assert.equal(await boxes.hash(box), missing);
  await mkdir(host);
  const second = await boxes.hash(box);
  assert.equal(new Set([missing, first, second]).size, 3);
  await rm(host, { recursive: true });
  await rename(`${host}.old`, host);
  assert.equal(await boxes.hash(box), first);
});
