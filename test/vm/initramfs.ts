// Debian's cloud kernel, and an initramfs that loads its modules and lays the disks of the guest over each other.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { build, cache, hash, removeOlder } from './kept.ts';

const run = promisify(execFile);

/** Modules of the guest, in the order in which they are loaded; what is built in is left out by the guest's init. */
const modules = [
  'crc32c_generic',
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

export interface Kernel {
  readonly image: string;
  readonly modules: string;
}

/** Debian's cloud kernel, unpacked but not installed, as the set-up has fetched it into a folder. */
export async function findKernel(folder = path.join(cache, 'kernel')): Promise<Kernel> {
  if (!existsSync(folder)) throw new Error(`${folder} is missing: run sh native/setup.sh --test`);
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
    const match = /^(kernel\/\S+\.ko(?:\.xz)?): ?(.*)$/.exec(line);
    if (!match?.[1]) continue;
    const name = path
      .basename(match[1])
      .replace(/\.ko(\.xz)?$/, '')
      .replaceAll('-', '_');
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

const load = `#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
while read -r module; do /bin/busybox insmod "/modules/$module"; done < /modules/order
`;

/** The tests' own root: two read-only disks and what is written, laid over each other. */
const overlay = `${load}/bin/busybox mount -t squashfs -o ro /dev/vda /base
/bin/busybox mount -t squashfs -o ro /dev/vdb /sources
/bin/busybox mount -t tmpfs tmpfs /over
/bin/busybox mkdir /over/upper /over/work
/bin/busybox mount -t overlay -o lowerdir=/sources:/base,upperdir=/over/upper,workdir=/over/work overlay /root
for each in dev proc sys; do /bin/busybox mount --move /$each /root/$each; done
exec /bin/busybox switch_root /root /sbin/guest
`;

/** A disk with a root as it is installed, which lasts. */
export const diskInit = `${load}/bin/busybox mount -t ext4 /dev/vda /root
for each in dev proc sys; do /bin/busybox mount --move /$each /root/$each; done
exec /bin/busybox switch_root /root /sbin/init
`;

/** Makes or finds the initramfs for a kernel. `kind` tells those of different machines apart. */
export async function makeInitramfs(
  kernel: Kernel,
  { kind = 'initramfs', init = overlay, busybox = '/bin/busybox' } = {},
): Promise<string> {
  const files = await moduleFiles(kernel);
  const target = path.join(cache, `${kind}-${hash(init, kernel.image, ...files)}`);
  if (existsSync(target)) return target;
  await build(target, async (work, output) => {
    for (const folder of ['bin', 'dev', 'proc', 'sys', 'modules', 'base', 'sources', 'over', 'root']) {
      await mkdir(path.join(work, folder), { recursive: true });
    }
    await copyFile(busybox, path.join(work, 'bin/busybox'));
    const names = files.map((file) => path.basename(file, '.xz'));
    for (const [index, file] of files.entries()) {
      await copyModule(path.join(kernel.modules, file), path.join(work, 'modules', names[index] ?? ''));
    }
    await writeFile(path.join(work, 'modules/order'), `${names.join('\n')}\n`);
    await writeFile(path.join(work, 'init'), init, { mode: 0o755 });
    await archive(work, output);
  });
  await removeOlder(target);
  return target;
}

/** Later suites have them compressed, which not every insmod(8) can read. */
async function copyModule(source: string, target: string): Promise<void> {
  if (!source.endsWith('.xz')) {
    await copyFile(source, target);
    return;
  }
  const { stdout } = await run('xz', ['-dc', source], { encoding: 'buffer', maxBuffer: 64 << 20 });
  await writeFile(target, stdout);
}

/** A cpio archive in the kernel's format (initramfs buffer format). */
async function archive(folder: string, output: string): Promise<void> {
  const names: string[] = ['.'];
  for (const entry of await readdir(folder, { recursive: true })) names.push(entry);
  const child = run('cpio', ['--quiet', '-o', '-H', 'newc', '-F', output], { cwd: folder });
  child.child.stdin?.end(`${names.join('\n')}\n`);
  await child;
}
