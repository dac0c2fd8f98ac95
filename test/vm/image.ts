// Makes what another kernel needs to run the project: Debian's cloud kernel, an initramfs, and two read-only disks
// (the base: Node, its libraries and the npm packages; the sources). Everything is kept in .build/vm under a hash of its input.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, globSync } from 'node:fs';
import {
  copyFile,
  cp,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  realpath,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { bundle, guestRoot } from './bundle.ts';

const run = promisify(execFile);
const root = path.resolve(import.meta.dirname, '../..');
const cache = path.join(root, '.build/vm');

/** Paths of what qemu is started with. */
export interface Image {
  readonly kernel: string;
  readonly initramfs: string;
  readonly base: string;
  readonly sources: string;
}

/** Modules of the guest, in the order in which they are loaded; what is built in is left out by the guest's init. */
const modules = [
  'virtio_pci',
  'virtio_blk',
  'loop',
  'squashfs',
  'erofs',
  'overlay',
  'ext4',
  'dm-mod',
  'dm-bufio',
  'dm-verity',
];

/** Makes or finds everything that `boot` needs, with these files of tests. Errors name the tool that failed. */
export async function makeImage(tests: readonly string[]): Promise<Image> {
  await mkdir(cache, { recursive: true });
  const kernel = await findKernel();
  const [initramfs, base, sources] = await Promise.all([makeInitramfs(kernel), makeBase(), makeSources(tests)]);
  return { kernel: kernel.image, initramfs, base, sources };
}

interface Kernel {
  readonly image: string;
  readonly modules: string;
}

/** Debian's cloud kernel, unpacked but not installed, as the set-up has fetched it. */
async function findKernel(): Promise<Kernel> {
  const folder = path.join(cache, 'kernel');
  if (!existsSync(folder)) throw new Error(`${folder} is missing: run npm run test:vm once`);
  const image = (await readdir(path.join(folder, 'boot'))).find((file) => file.startsWith('vmlinuz-'));
  if (image === undefined) throw new Error(`${folder} holds no kernel: remove it and try again`);
  return {
    image: path.join(folder, 'boot', image),
    modules: path.join(folder, 'lib/modules', image.slice('vmlinuz-'.length)),
  };
}

/** The paths of the modules and of all that they depend on, dependencies first (modules.dep(5)). */
async function moduleFiles(kernel: Kernel): Promise<string[]> {
  const known = new Map<string, { file: string; needs: string[] }>();
  const { stdout } = await run(
    '/sbin/depmod',
    ['-n', '-b', path.resolve(kernel.modules, '../../..'), path.basename(kernel.modules)],
    {
      maxBuffer: 64 << 20,
    },
  );
  for (const line of stdout.split('\n')) {
    const match = /^(kernel\/\S+\.ko): ?(.*)$/.exec(line);
    if (!match?.[1]) continue;
    const name = path.basename(match[1], '.ko').replaceAll('-', '_');
    known.set(name, { file: match[1], needs: (match[2] ?? '').split(' ').filter(Boolean) });
  }
  const files = new Set<string>();
  const add = (name: string): void => {
    const entry = known.get(name.replaceAll('-', '_'));
    if (!entry) return;
    for (const need of entry.needs.toReversed()) files.add(need);
    files.add(entry.file);
  };
  modules.forEach(add);
  return [...files];
}

const init = `#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
while read -r module; do /bin/busybox insmod "/modules/$module"; done < /modules/order
/bin/busybox mount -t squashfs -o ro /dev/vda /base
/bin/busybox mount -t squashfs -o ro /dev/vdb /sources
/bin/busybox mount -t tmpfs tmpfs /over
/bin/busybox mkdir /over/upper /over/work
/bin/busybox mount -t overlay -o lowerdir=/sources:/base,upperdir=/over/upper,workdir=/over/work overlay /root
for each in dev proc sys; do /bin/busybox mount --move /$each /root/$each; done
exec /bin/busybox switch_root /root /sbin/guest
`;

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

async function makeInitramfs(kernel: Kernel): Promise<string> {
  const files = await moduleFiles(kernel);
  const target = path.join(cache, `initramfs-${hash(init, kernel.image, ...files)}`);
  if (existsSync(target)) return target;
  await build(target, async (work, output) => {
    for (const folder of ['bin', 'dev', 'proc', 'sys', 'modules', 'base', 'sources', 'over', 'root']) {
      await mkdir(path.join(work, folder), { recursive: true });
    }
    await copyFile('/bin/busybox', path.join(work, 'bin/busybox'));
    const names = files.map((file) => path.basename(file));
    await Promise.all(
      files.map((file) => copyFile(path.join(kernel.modules, file), path.join(work, 'modules', path.basename(file)))),
    );
    await writeFile(path.join(work, 'modules/order'), `${names.join('\n')}\n`);
    await writeFile(path.join(work, 'init'), init, { mode: 0o755 });
    await archive(work, output);
  });
  return target;
}

/** A cpio archive in the kernel's format (initramfs buffer format), written by busybox. */
async function archive(folder: string, output: string): Promise<void> {
  const names: string[] = ['.'];
  for (const entry of await readdir(folder, { recursive: true })) names.push(entry);
  const child = run('cpio', ['--quiet', '-o', '-H', 'newc', '-F', output], { cwd: folder });
  child.child.stdin?.end(`${names.join('\n')}\n`);
  await child;
}

/** Real programs: busybox has applets of these names, but without the options that the tests and the runtime need. */
const programs = [
  ...['mount', 'umount', 'losetup', 'unshare', 'nsenter', 'setarch'],
  ...['mksquashfs', 'mkfs.erofs', 'dump.erofs'],
];

/** Node, busybox, the real programs, the libraries that they load, and koffi. */
async function makeBase(): Promise<string> {
  const node = await realpath(process.execPath);
  const lock = await readFile(path.join(root, 'package-lock.json'), 'utf8');
  const target = path.join(cache, `base-${hash(lock, node, guest, ...programs)}`);
  if (existsSync(target)) return target;
  await build(target, async (work, output) => {
    for (const folder of [
      'bin',
      'sbin',
      'dev',
      'proc',
      'sys',
      'tmp',
      'run',
      'root',
      'etc',
      'var',
      'usr/bin',
      'lib',
      'lib64',
    ]) {
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
const data = ['package.json', 'native/launcher', 'test/payload', 'test/vm/load.mjs', 'src/cli/northstate'];
const built = ['northstate-launcher', 'test', 'bench'];

/** Programs that others start by their path. */
const started = [
  ...['src/cli/main.ts', 'src/daemon.ts', 'state/parser-worker.ts'],
  ...['test/launcher/reconciler.ts', 'test/sandbox/calls.ts', 'test/kernel/mount-many.ts'],
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
      const fixtures = path.join(root, '../shared/fixtures', name);
      if (existsSync(fixtures)) await cp(fixtures, path.join(work, 'shared/fixtures', name), { recursive: true });
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

/** Makes a file in a private folder first, so that a run that is cut off leaves nothing half made under its name. */
async function build(target: string, make: (work: string, output: string) => Promise<void>): Promise<void> {
  const work = await mkdtemp(path.join(cache, 'work.'));
  const output = path.join(cache, `${path.basename(work)}.out`);
  try {
    await make(work, output);
    await rename(output, target);
  } finally {
    await rm(work, { recursive: true, force: true });
    await rm(output, { force: true });
  }
}

function hash(...parts: readonly string[]): string {
  const digest = createHash('sha256');
  for (const part of parts) digest.update(part).update('\0');
  return digest.digest('hex').slice(0, 16);
}
