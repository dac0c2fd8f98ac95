// What is tried from inside of containers to get out, and what comes of it. Each act is also done outside of a container,
// where it works: a test that cannot fail would say nothing.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { chmod, cp, mkdir, symlink, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, afterEach, before, test } from 'node:test';
import { parseMountTable } from '../../native/mounts-table.ts';
import { northstate, run } from '../support/command.ts';
import { launcherDescriptors } from '../support/launcher-descriptors.ts';
import { enterMountNamespace } from '../support/namespace.ts';
import { running } from '../support/scenario.ts';
import { untilLogged } from '../support/successor.ts';
import { openCells, type Cells } from './cells.ts';
import { digestOf, hostilePackage, payload } from './payload.ts';
import { detectHierarchies } from '../../controllers/cgroups/cgroups-observe.ts';

enterMountNamespace();

// In this namespace alone, and always at the same place: packages that name it are packed once.
const host = '/mnt';
await run('mount', ['-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', host]);
for (const name of ['rw', 'race', 'shared', 'outside', 'tmp']) await mkdir(join(host, name));
for (const name of ['rw', 'race']) await chmod(join(host, name), 0o777);
await writeFile(join(host, 'outside/file'), '');
await run('mount', ['-t', 'tmpfs', '-o', 'mode=777', 'tmpfs', join(host, 'shared')]);
await run('mount', ['--make-shared', join(host, 'shared')]);

const program = await payload();
const mounts = `mounts:
  /proc: { type: proc }
  /sys: { type: sysfs }
  /dev: { type: dev }
  /tmp: { type: tmpfs, size: 1Mi }
  /data: { type: persist }
  /rw: { type: bind, host: ${join(host, 'rw')}, options: rw }
  /shared: { type: bind, host: ${join(host, 'shared')}, options: 'rw,rec' }
`;
const race = (more: string) => `mounts: { /shared: { type: bind, host: ${join(host, 'race')}, options: rw }${more} }\n`;
const cellsOf = [
  { name: 'plain', fields: mounts },
  { name: 'filtered', fields: `${mounts}seccomp: { profile: default }\n` },
  { name: 'tracer', fields: `${mounts}capabilities: [CAP_SYS_PTRACE, CAP_DAC_OVERRIDE]\n` },
  { name: 'maker', fields: `${mounts}capabilities: [CAP_MKNOD, CAP_DAC_OVERRIDE]\n` },
  { name: 'admin', fields: `${mounts}capabilities: [CAP_SYS_ADMIN]\n` },
  {
    name: 'overrider',
    fields: `${mounts}capabilities: [CAP_SYS_ADMIN, CAP_DAC_OVERRIDE]\n`,
    entry: 'stop: { grace: 500ms }',
  },
  { name: 'rooted', fields: `${mounts}capabilities: [CAP_SYS_CHROOT]\n` },
  { name: 'networked', fields: 'network: host\n' },
  { name: 'attacker', fields: race('') },
  { name: 'victim', fields: race(', /shared/x: { type: tmpfs, size: 64Ki }') },
  { name: 'evil', fields: '', package: await imageWithDevices() },
  { name: 'speaker', fields: 'io: { stdout: inherit, stderr: inherit }\n' },
];

/** A container that nobody may disturb. */
const bystander = { name: 'bystander', fields: 'env: { SECRET: environment-of-the-bystander }\n' };
/** In the environment and in the output of the bystander, and in nobody else's. */
const secrets = ['environment-of-the-bystander', 'output-of-the-bystander'] as const;
const word = `northstate-${process.pid}`;
let cells: Cells;
let runtime: Runtime;

interface Runtime {
  readonly launcher: number;
  readonly reconciler: number | null;
  readonly bystander: number | null;
}

/** The processes that no container may end. */
async function processes(): Promise<Runtime> {
  const { pid } = await running(cells.daemon, 'bystander');
  return { launcher: cells.daemon.pid, reconciler: cells.daemon.reconciler(), bystander: pid };
}

/** Does an act as root of the host. */
async function outside(...act: readonly string[]): Promise<string[]> {
  const { stdout, stderr } = await run(program, ['0', ...act]);
  assert.equal(stderr, '');
  return stdout.trimEnd().split('\n').slice(1);
}

/** A hostile image: beside the six devices that a package has, one in /dev and one elsewhere. */
function imageWithDevices(): Promise<string> {
  const manifest = `name: evil
version: 1.0.0
init: /escape
io: { stdout: pipe, stderr: pipe }
uid: 1000
gid: 1000
mounts: { /dev: { type: dev } }
`;
  return hostilePackage(manifest, 'devices', async (root) => {
    await mkdir(join(root, 'dev'));
    for (const place of ['node', 'dev/node']) await run('mknod', ['-m', '666', join(root, place), 'c', '1', '5']);
  });
}

before(async () => {
  const prefix = [program, '0', 'with-key', word, program, '0', 'on-terminal'];
  cells = await openCells([...cellsOf, bystander], { prefix });
  await cells.begin('bystander', secrets[1], 'say', secrets[1]);
  runtime = await processes();
});
after(() => cells[Symbol.asyncDispose]());
afterEach(async () => assert.deepEqual(await processes(), runtime));

test('the program of the runtime can be neither written nor, without a right to trace, read (CVE-2019-5736)', async () => {
  assert.deepEqual(await cells.said('plain', 'exe'), ['open for writing: EACCES', 'open for reading: EACCES']);
  assert.deepEqual(await cells.said('tracer', 'exe'), [
    'open for writing: ETXTBSY',
    'open for reading: done',
    'open again for writing: ETXTBSY',
    'sealed: yes',
  ]);
  assert.ok((await outside('exe', String(process.pid))).includes('sealed: no'));
});

test('an init of /proc/self/exe runs nothing but the sealed launcher', async () => {
  const launcher = join(import.meta.dirname, '../../.build/northstate-launcher');
  const before = await digestOf(launcher);
  const outcome = await cells.startAs('plain', '/proc/self/exe', ['1', 'exe']);
  assert.equal(outcome, '1');
  assert.equal(await digestOf(launcher), before);
});

test('neither a descriptor nor the working directory leads above the root (CVE-2024-21626)', async () => {
  assert.deepEqual(await cells.said('plain', 'roots'), ['working directory: /', 'above everything: the root']);
  for (const fd of [3, 4, 5, 6, 7, 8]) {
    for (const init of [`/proc/self/fd/${fd}/escape`, `/proc/self/fd/${fd}/../../bin/true`]) {
      assert.match(await cells.startAs('plain', init, []), /ENOENT/, init);
    }
  }
  const directory = openSync(host, 'r');
  const child = spawn(program, ['0', 'roots'], { stdio: ['ignore', 'pipe', 'inherit', directory] });
  closeSync(directory);
  assert.ok(child.stdout);
  assert.match(await text(child.stdout), /^descriptor 3: a directory$/m);
});

test('no working directory outside of a chroot leads to the host (ESR-01 003)', async () => {
  assert.deepEqual(await cells.said('rooted', 'chroot', host), ['chroot: done', 'a file of the host: ENOENT']);
  await cp(program, join(host, 'escape'));
  const { stdout } = await run('chroot', [host, '/escape', '0', 'chroot', host]);
  assert.match(stdout, /^a file of the host: done$/m);
});

test('a mount lands in the container though its target is a link every other moment (CVE-2021-30465)', async () => {
  const target = join(host, 'outside');
  await cells.begin('attacker', 'exchange: done', 'exchange', '/shared', `/../../../../..${target}`);
  const outcomes: string[] = [];
  for (let round = 0; round < 12; round++) outcomes.push(await cells.startAs('victim', '', [String(round), 'roots']));
  await cells.end('attacker');
  assert.ok(outcomes.includes('0'), outcomes.join('; '));
  for (const pid of ['self', String(runtime.reconciler)]) {
    const table = parseMountTable(readFileSync(`/proc/${pid}/mountinfo`, 'utf8'));
    assert.deepEqual(
      table.filter((entry) => entry.target.startsWith(target)),
      [],
    );
  }
  const link = join(host, 'link');
  await symlink(target, link);
  const { stdout } = await run('unshare', ['--mount', program, '0', 'follow', link, join(target, 'file')]);
  assert.match(stdout, /^mount: done\n.*: ENOENT$/m);
});

test('what a container mounts stays in it, though the directory is shared with the host', async () => {
  const shared = join(host, 'shared');
  const here = () =>
    parseMountTable(readFileSync('/proc/self/mountinfo', 'utf8')).filter((each) => each.target === shared);
  assert.deepEqual(await cells.said('admin', 'mount', '/shared'), ['make it shared: done', 'mount: done']);
  assert.equal(here().length, 1);
  await run('unshare', ['--mount', '--propagation', 'unchanged', program, '0', 'mount', shared]);
  assert.equal(here().length, 2);
  await run('umount', [shared]);
});

test('no signal and no trace reaches a process outside', async () => {
  const { launcher, reconciler } = runtime;
  assert.deepEqual((await cells.said('plain', 'kill-all')).at(-1), 'still here');
  for (const pid of [launcher, reconciler]) {
    assert.deepEqual(await cells.said('tracer', 'signal', String(pid)), ['signal: ESRCH']);
    assert.deepEqual(await outside('signal', String(pid)), ['signal: done']);
  }
  const denied = [
    'attach: EPERM',
    'memory: EACCES',
    'root: EACCES',
    'working directory: EACCES',
    'environment: EACCES',
  ];
  assert.deepEqual(await cells.said('plain', 'trace', '1'), [...denied, 'descriptor 0: EPERM']);
  const victim = spawn('sleep', ['60'], { stdio: 'ignore' });
  assert.deepEqual(done(await outside('trace', String(victim.pid))).length, 6);
  victim.kill();
  await once(victim, 'exit');
});

test('files of the kernel cannot be written, nor made writable', async () => {
  const paths = [
    '/proc/sysrq-trigger',
    '/proc/sys/kernel/core_pattern',
    '/proc/sys/kernel/hostname',
    '/sys/power/state',
  ];
  const more = ['/sys/kernel/uevent_helper', '/sys/kernel/mm/ksm/run', '/sys/fs/cgroup', '/proc/1/oom_score_adj'];
  const writes = (said: readonly string[]) => done(said).filter((line) => line.startsWith('write'));
  for (const name of ['plain', 'maker'])
    assert.deepEqual(writes(await cells.said(name, 'open', ...paths, ...more)), []);
  assert.ok(writes(await outside('open', ...paths)).length >= 2);
  assert.deepEqual(done(await cells.said('plain', 'remount', '/', '/proc', '/sys', '/tmp')), []);
  assert.deepEqual(done(await cells.said('plain', 'users', '/', '/proc', '/sys')), ['a user namespace: done']);
  assert.deepEqual((await cells.run('filtered', 'users', '/')).exit, { signalled: { signal: 31 } });
});

test('a device that a container has made, or a package brought, opens nothing', async () => {
  const made = await cells.said('maker', 'nodes', '/tmp', '/data', '/dev', '/rw');
  assert.deepEqual(
    done(made).filter((line) => line.startsWith('open')),
    [],
  );
  assert.deepEqual(done(await cells.said('evil', 'open', '/node', '/dev/node')), []);
  assert.deepEqual(done(await outside('nodes', join(host, 'tmp'))).length, 2);
});

test("nothing is put into the runtime's terminal, nor is it taken over", async () => {
  await cells.startAs('speaker', '', ['1', 'stuff']);
  await untilLogged(cells.daemon, 'stuffed');
  const log = readFileSync(join(cells.daemon.directory, 'log'), 'utf8');
  for (const call of ['TIOCSTI', 'tcgetattr', 'tcsetattr', 'TIOCEXCL', 'TIOCSCTTY']) {
    assert.ok(log.includes(`${call}: ENOTTY`), `${call} is not refused in ${log.slice(-2000)}`);
  }
  assert.ok(log.includes('stdout: to write'));
  const attended = (await outside('on-terminal', program, '0', 'stuff')).join('\n');
  for (const call of ['TIOCSTI', 'tcsetattr', 'TIOCEXCL']) assert.match(attended, new RegExp(`^x?${call}: done`, 'm'));
});

test("whoever is joined by exec -it puts nothing into that person's terminal, and has nothing of theirs open", async () => {
  await cells.begin('plain', 'stays', 'say', 'stays');
  // What is in the input of the terminal when the command has ended is read there: a letter, or nothing within a second.
  const read = `busybox sh -c 'read -t 1 -n 1 letter; echo "[$letter]"'`;
  const onTerminal = async (command: string): Promise<string> => {
    const script = spawn('script', ['-qec', `${command}; ${read}`, '/dev/null'], {
      env: { ...process.env, NORTHSTATE_CONSOLE: cells.daemon.console },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const [said] = await Promise.all([text(script.stdout), once(script, 'close')]);
    return said;
  };
  const inside = await onTerminal(`${northstate} exec -it plain -- /escape 0 stuff`);
  assert.match(inside, /TIOCSTI: done/, 'its own terminal is its own');
  assert.match(inside, /TIOCLINUX: (?!done)/);
  assert.match(inside, /\[\]\r\n$/);
  assert.match(
    await onTerminal(`${program} 0 stuff`),
    /\[x\]\r\n$/,
    'the letter is not seen outside: this shows nothing',
  );
  await cells.end('plain');
});

test('the program that runs when a control group empties cannot be named (CVE-2022-0492)', async () => {
  const { legacy } = detectHierarchies();
  const names = ['none,name=systemd', 'freezer', 'devices', ...legacy.keys()];
  const writable = (said: readonly string[]) => done(said).filter((line) => line.startsWith('release_agent'));
  for (const name of ['plain', 'admin', 'overrider']) {
    const said = await cells.said(name, 'agent', ...names);
    assert.deepEqual(writable(said), [], name);
    if (name !== 'plain') assert.ok(done(said).length > 0, 'nothing could be mounted: this shows nothing');
  }
});

test('a container that keeps itself frozen in groups of its own ends when it is told to, and so do they', async () => {
  const { legacy, unified } = detectHierarchies();
  const mount = legacy.get('freezer') ?? unified ?? '';
  const group = join(mount, cells.daemon.mark, 'container-overrider');
  const said = await cells.begin(
    'overrider',
    'frozen',
    'freeze',
    legacy.has('freezer') ? 'freezer' : 'unified',
    '1200',
  );
  assert.deepEqual(done(said).slice(-2), ['join: done', 'freeze: done']);
  assert.ok(existsSync(group));
  assert.ok(
    said.some((line) => / groups$/.test(line)),
    said.join('\n'),
  );
  const { code, stderr } = await cells.daemon.run('stop', 'overrider');
  assert.equal(code, 0, stderr);
  await cells.ended('overrider');
  await cells.daemon.until('the groups are gone', () => !existsSync(group));
});

test('the memory of PID 1 holds nothing of other containers', async () => {
  const words = secrets.map((each) => Buffer.from(each).reverse().toString());
  const expected = secrets.map((each) => `${each}: not found in readable memory`);
  assert.deepEqual(await cells.said('tracer', 'search', '1', ...words), expected);
  const launchers = await outside('search', String(runtime.launcher), ...words);
  assert.ok(launchers.includes(`${secrets[1]}: found in readable memory`));
});

let hijacked = 0;
for (const how of ['noise', 'descriptors', 'flood', 'hang-up']) {
  test(`an init that is taken over and turns to the launcher with ${how} ends, and nothing else`, async () => {
    const open = await launcherDescriptors(runtime.launcher);
    // Before the init has said that the application runs, its end is a start that failed.
    assert.match(await cells.startAs('tracer', '', ['', 'hijack', how]), /^signal 9$|^1$|the init ended/);
    await untilLogged(cells.daemon, "the init's socket: done", ++hijacked);
    assert.ok((await launcherDescriptors(runtime.launcher)) <= open);
  });
}

test('whatever a container writes to its descriptors, the runtime reads on', async () => {
  for (const name of ['plain', 'speaker']) assert.equal(await cells.startAs(name, '', ['', 'shout']), '0');
  assert.equal((await cells.daemon.run('logs', 'plain')).code, 0);
  assert.deepEqual(await cells.said('plain', 'roots'), ['working directory: /', 'above everything: the root']);
});

test("keys, shared memory, queues and the loopback of the host are not the container's (ESR-01 005, 007)", async () => {
  assert.deepEqual(await cells.said('plain', 'keys', word), ["the session's key: ENOKEY"]);
  assert.deepEqual(await outside('with-key', word, program, '0', 'keys', word), ['run 0', "the session's key: done"]);

  const key = String(process.pid + 0x4e530000);
  const holder = spawn(program, ['0', 'hold', key, `/${word}`], { stdio: ['pipe', 'pipe', 'inherit'] });
  await once(holder.stdout, 'data');
  assert.deepEqual(await cells.said('plain', 'ipc', key, `/${word}`), [
    'shared memory: ENOENT',
    'message queue: ENOENT',
  ]);
  assert.deepEqual(await outside('ipc', key, `/${word}`), ['shared memory: done', 'message queue: done']);
  holder.stdin.end();
  await once(holder, 'exit');

  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const port = String((server.address() as AddressInfo).port);
  assert.deepEqual(await cells.said('plain', 'connect', port), ['connect: ECONNREFUSED']);
  assert.deepEqual(await cells.said('networked', 'connect', port), ['connect: done']);
  server.close();
});

function done(said: readonly string[]): string[] {
  return said.filter((line) => line.endsWith(': done'));
}
