// Makes what another kernel needs to run the project: the kernel, its initramfs, and two read-only disks (the base: Node,
// its libraries and the npm packages; the sources: the runtime and the tests).
import { execFile } from 'node:child_process';
import { existsSync, globSync } from 'node:fs';
import { copyFile, cp, mkdir, readFile, realpath, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { bundle, guestRoot } from './bundle.ts';
import { findKernel, makeInitramfs } from './initramfs.ts';
import { build, cache, hash, removeOlder, root } from './kept.ts';

const run = promisify(execFile);

/** Paths of what qemu is started with. */
export interface Image {
  readonly kernel: string;
  readonly initramfs: string;
  readonly base: string;
  readonly sources: string;
}

/** Makes or finds everything that `boot` needs, with these files of tests. Errors name the tool that failed. */
export async function makeImage(tests: readonly string[]): Promise<Image> {
  await mkdir(cache, { recursive: true });
  const kernel = await findKernel();
  const [initramfs, base, sources] = await Promise.all([makeInitramfs(kernel), makeBase(), makeSources(tests)]);
  return { kernel: kernel.image, initramfs, base, sources };
}

const guest = `#!/bin/busybox sh
export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/root NO_COLOR=1 NORTHSTATE_TEST_PATIENCE=10 NODE_OPTIONS=--import=${guestRoot}/test/vm/load.mjs
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tmpfs tmpfs /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ip link set lo up
cd ${guestRoot}
command=$(sed -n 's/.*northstate\\.command=\\([^ ]*\\).*/\\1/p' /proc/cmdline | base64 -d)
sh -c "$command" </dev/null 2>&1
echo "northstate-guest-exit: $?"
poweroff -f
`;

/** Real programs: busybox has applets of these names, but without the options that the tests and the runtime need. */
const programs = [
  ...['mount', 'umount', 'losetup', 'unshare', 'nsenter', 'setarch'],
  ...['mksquashfs', 'mkfs.erofs', 'dump.erofs', 'veritysetup', 'secilc'],
];

const folders = [
  ...['bin', 'sbin', 'lib', 'lib64', 'usr/bin', 'etc', 'var', 'root'],
  ...['dev', 'proc', 'sys', 'tmp', 'run', 'disk'],
];

/** Node, busybox, the real programs, the libraries that they load, and koffi. */
async function makeBase(): Promise<string> {
  const node = await realpath(process.execPath);
  const lock = await readFile(path.join(root, 'package-lock.json'), 'utf8');
  const target = path.join(cache, `base-${hash(lock, node, guest, ...programs, ...folders)}`);
  if (existsSync(target)) return target;
  await build(target, async (work, output) => {
    for (const folder of folders) {
      await mkdir(path.join(work, folder), { recursive: true });
    }
    await copyFile('/bin/busybox', path.join(work, 'bin/busybox'));
    const { stdout } = await run('/bin/busybox', ['--list']);
    const taken = new Set(['busybox', 'sh.distrib', ...programs]);
    for (const applet of stdout.split('\n').filter((name) => name !== '' && !taken.has(name))) {
      await symlink('busybox', path.join(work, 'bin', applet));
    }
    await writeFile(path.join(work, 'sbin/guest'), guest, { mode: 0o755 });
    await copyFile('/etc/passwd', path.join(work, 'etc/passwd'));
    await copyFile('/etc/group', path.join(work, 'etc/group'));
    await writeFile(path.join(work, 'etc/hostname'), 'northstate-guest\n');
    const found = programs.map((name) => ({ name, file: findProgram(name) }));
    for (const { name, file } of found) await copyFile(file, path.join(work, 'bin', name));
    for (const file of await libraries([node, libseccomp(), ...found.map((each) => each.file)])) {
      await mkdir(path.join(work, path.dirname(file)), { recursive: true });
      await cp(file, path.join(work, file), { dereference: true });
    }
    await cp(libseccomp(), path.join(work, libseccomp()), { dereference: true });
    const pinned = path.join('node_modules', path.relative(path.join(root, 'node_modules'), node));
    for (const name of ['node_modules/koffi', 'node_modules/@koromix', pinned]) {
      await cp(path.join(root, name), path.join(work, guestRoot, name), { recursive: true });
    }
    await symlink(path.join(guestRoot, pinned), path.join(work, 'bin/node'));
    await squash(work, output);
  });
  await removeOlder(target);
  return target;
}

function findProgram(name: string): string {
  const folder = ['/usr/bin', '/bin', '/usr/sbin', '/sbin'].find((each) => existsSync(path.join(each, name)));
  if (folder === undefined) throw new Error(`${name} is not installed`);
  return path.join(folder, name);
}

/** Loaded by name, so that no program names it. */
function libseccomp(): string {
  const found = globSync('/usr/lib/*/libseccomp.so.2')[0];
  if (found === undefined) throw new Error('libseccomp2 is not installed');
  return found;
}

/** Every shared library that the programs load, by ldd(1). */
async function libraries(files: readonly string[]): Promise<Set<string>> {
  const found = new Set<string>();
  for (const file of files) {
    const { stdout } = await run('ldd', [file]);
    for (const match of stdout.matchAll(/(\/\S+) \(0x/g)) if (match[1] !== undefined) found.add(match[1]);
  }
  return found;
}

/** What tests read of the checkout beside the programs, and what was compiled from it. */
const data = [
  'package.json',
  'native/launcher',
  'native/player',
  'test/support/payload',
  'test/bench/floor.c',
  'test/vm/load.mjs',
  'test/vm/guest/policy.cil',
  'src/cli/northstate',
];
const built = ['northstate-launcher', 'northstate-player', 'bundle', 'test', 'bench'];

/** Programs of the tests that others start by their path. The runtime itself is the bundle, as on a device. */
const started = [
  ...[
    'test/support/steered-reconciler.ts',
    'test/support/calls.ts',
    'test/kernel/mounts/mount-many.ts',
    'test/vm/guest/power-guest.ts',
    'test/vm/guest/trial-guest.ts',
  ],
];

/** The tests, as bundles, and what they need. Times are kept: some programs are made again when a source is newer. */
async function makeSources(tests: readonly string[]): Promise<string> {
  const target = path.join(cache, `sources-${hash(...tests)}`);
  await build(target, async (work, output) => {
    const folder = path.join(work, guestRoot);
    const names = [...data, ...built.map((name) => path.join('.build', name))];
    for (const name of names.filter((each) => existsSync(path.join(root, each)))) {
      await cp(path.join(root, name), path.join(folder, name), { recursive: true, preserveTimestamps: true });
    }
    await bundle([...started, ...tests], folder);
    for (const name of ['npk', 'npk-old']) {
      const fixtures = path.join('test/fixtures', name);
      await cp(path.join(root, fixtures), path.join(folder, fixtures), { recursive: true });
    }
    await squash(work, output);
  });
  return target;
}

async function squash(folder: string, output: string): Promise<void> {
  await run('mksquashfs', [
    folder,
    output,
    '-noappend',
    '-no-progress',
    '-quiet',
    '-all-root',
    '-noI',
    '-noD',
    '-noF',
    '-noX',
  ]);
}
