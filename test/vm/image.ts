// Makes what another kernel needs to run the project: Debian's cloud kernel, an initramfs, and two read-only disks
// (the base: Node, its libraries and the npm packages; the sources). Everything is kept in .build/vm under a hash of its input.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, copyFile, cp, mkdir, mkdtemp, readFile, readdir, realpath, rename, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

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
const modules = ['virtio_pci', 'virtio_blk', 'loop', 'squashfs', 'erofs', 'overlay', 'ext4', 'dm-mod', 'dm-bufio', 'dm-verity'];

const sourceFolders = ['src', 'controllers', 'native', 'state', 'test', 'examples'];

/** Makes or finds everything that {@link boot} needs. Errors name the tool that failed. */
export async function makeImage(): Promise<Image> {
  await mkdir(cache, { recursive: true });
  const kernel = await makeKernel();
  const [initramfs, base, sources] = await Promise.all([makeInitramfs(kernel), makeBase(), makeSources()]);
  return { kernel: kernel.image, initramfs, base, sources };
}

interface Kernel {
  readonly image: string;
  readonly modules: string;
}

/** Debian's newest cloud kernel, unpacked but not installed; needs the package mirror once. */
async function makeKernel(): Promise<Kernel> {
  const folder = path.join(cache, 'kernel');
  if (!existsSync(folder)) {
    const work = await mkdtemp(path.join(cache, 'kernel.'));
    await chmod(work, 0o755);
    const { stdout } = await run('apt-cache', ['depends', 'linux-image-cloud-amd64']);
    const name = /Depends: (linux-image-\S+)/.exec(stdout)?.[1];
    if (name === undefined) throw new Error('apt-cache names no linux-image-cloud-amd64: run apt-get update');
    await run('apt-get', ['download', name], { cwd: work });
    const archive = (await readdir(work)).find((file) => file.endsWith('.deb'));
    if (archive === undefined) throw new Error(`apt-get download ${name} brought no file`);
    await run('dpkg-deb', ['-x', path.join(work, archive), work]);
    await rm(path.join(work, archive));
    await rename(work, folder);
  }
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
  const { stdout } = await run('/sbin/depmod', ['-n', '-b', path.resolve(kernel.modules, '../../..'), path.basename(kernel.modules)], {
    maxBuffer: 64 << 20,
  });
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
export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/root
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tmpfs tmpfs /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ip link set lo up
cd /northstate
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
    await Promise.all(files.map((file) => copyFile(path.join(kernel.modules, file), path.join(work, 'modules', path.basename(file)))));
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

/** Node, busybox, the libraries that they load, and the npm packages. */
async function makeBase(): Promise<string> {
  const node = await realpath(process.execPath);
  const lock = await readFile(path.join(root, 'package-lock.json'), 'utf8');
  const target = path.join(cache, `base-${hash(lock, node, guest)}`);
  if (existsSync(target)) return target;
  await build(target, async (work, output) => {
    for (const folder of ['bin', 'sbin', 'dev', 'proc', 'sys', 'tmp', 'run', 'root', 'etc', 'var', 'usr/bin', 'northstate', 'lib', 'lib64']) {
      await mkdir(path.join(work, folder), { recursive: true });
    }
    await copyFile('/bin/busybox', path.join(work, 'bin/busybox'));
    const { stdout } = await run('/bin/busybox', ['--list']);
    const taken = new Set(['busybox', 'sh.distrib']);
    for (const applet of stdout.split('\n').filter((name) => name !== '' && !taken.has(name))) {
      await symlink('busybox', path.join(work, 'bin', applet));
    }
    await writeFile(path.join(work, 'sbin/guest'), guest, { mode: 0o755 });
    await copyFile('/etc/passwd', path.join(work, 'etc/passwd'));
    await copyFile('/etc/group', path.join(work, 'etc/group'));
    for (const file of await libraries([node, '/usr/lib/x86_64-linux-gnu/libseccomp.so.2'])) {
      await mkdir(path.join(work, path.dirname(file)), { recursive: true });
      await cp(file, path.join(work, file), { dereference: true });
    }
    await cp(path.join(root, 'node_modules'), path.join(work, 'northstate/node_modules'), {
      recursive: true,
      verbatimSymlinks: true,
      filter: (file) => !/node_modules\/(typescript|@typescript-eslint|eslint|prettier|knip|@esbuild|\.cache)(\/|$)/.test(file),
    });
    await squash(work, output);
  });
  return target;
}

/** Every shared library that the programs load, by ldd(1), and the programs' loader. */
async function libraries(programs: readonly string[]): Promise<Set<string>> {
  const found = new Set<string>();
  for (const program of programs) {
    const { stdout } = await run('ldd', [program]);
    for (const match of stdout.matchAll(/(\/\S+) \(0x/g)) if (match[1] !== undefined) found.add(match[1]);
    if (!program.includes('node_modules')) found.add(program);
  }
  return found;
}

/** The sources and what was compiled from them. */
async function makeSources(): Promise<string> {
  const target = path.join(cache, 'sources');
  await build(target, async (work, output) => {
    const folder = path.join(work, 'northstate');
    await mkdir(folder);
    for (const name of sourceFolders) await cp(path.join(root, name), path.join(folder, name), { recursive: true });
    await copyFile(path.join(root, 'package.json'), path.join(folder, 'package.json'));
    for (const name of await readdir(path.join(root, '.build'))) {
      if (path.join(root, '.build', name) === cache) continue;
      await cp(path.join(root, '.build', name), path.join(folder, '.build', name), { recursive: true, verbatimSymlinks: true });
    }
    await squash(work, output);
  });
  return target;
}

async function squash(folder: string, output: string): Promise<void> {
  await run('mksquashfs', [folder, output, '-noappend', '-no-progress', '-quiet', '-all-root', '-noI', '-noD', '-noF', '-noX']);
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
