// The root file system of a device: busybox, glibc and what `install.sh` puts there, in a mount namespace of its own, so that
// it is `/` for all that runs in it. Kernel, devices and control groups are the host's.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, globSync } from 'node:fs';
import { copyFile, cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { run, type Output } from './command.ts';
import { removeGroups } from './leftover-groups.ts';
import { patience } from './patience.ts';

export interface DeviceRoot {
  /** The directory that becomes `/`. */
  readonly directory: string;
  /** Unusual text: the name of the directory and of its control groups. */
  readonly mark: string;
  /** A boot: what is on a tmpfs is new. */
  boot(options: BootOptions): Promise<Device>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface BootOptions {
  /** `/` cannot be written to; /var is a tmpfs then. */
  readonly readOnly: boolean;
  /** A directory of this machine that is /var/lib/northstate: the data partition that several roots share. */
  readonly data?: string;
}

export interface Device {
  /** Runs a program in it, with its own PATH. */
  run(...command: readonly string[]): Promise<Output>;
  /** Starts the runtime and waits until its console answers. */
  start(): Promise<void>;
  /** Has the runtime stop, as an init system does; gives its exit status. */
  shutDown(): Promise<number | null>;
  /** The power goes. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Makes a root with busybox, and the libraries that a release needs of a device. */
export async function makeDeviceRoot(): Promise<DeviceRoot> {
  const directory = await mkdtemp(join(tmpdir(), 'northstate-root-'));
  const mark = basename(directory);
  const path = (name: string): string => join(directory, name);
  for (const name of [
    'bin',
    'dev',
    'etc/northstate',
    'proc',
    'root',
    'run',
    'sys',
    'tmp',
    'usr/bin',
    'usr/lib',
    'var',
  ]) {
    await mkdir(path(name), { recursive: true });
  }
  await copyFile('/bin/busybox', path('bin/busybox'));
  const { stdout } = await run('/bin/busybox', ['--list']);
  for (const applet of stdout.split('\n').filter((name) => name !== '' && name !== 'busybox')) {
    await symlink('busybox', path(`bin/${applet}`));
  }
  await writeFile(path('etc/passwd'), 'root:x:0:0::/root:/bin/sh\n');
  await writeFile(path('etc/group'), 'root:x:0:\n');
  for (const file of await libraries()) {
    await mkdir(dirname(path(file)), { recursive: true });
    await cp(file, path(file), { dereference: true });
  }
  return {
    ...{ directory, mark },
    boot: (options) => boot(directory, options),
    async [Symbol.asyncDispose]() {
      await removeGroups(mark);
      await rm(directory, { recursive: true });
    },
  };
}

/** What README.md of src/release says that is needed: glibc, libstdc++, libgcc, libseccomp. */
async function libraries(): Promise<readonly string[]> {
  const seccomp = globSync('/usr/lib/*/libseccomp.so.2')[0] ?? 'libseccomp.so.2';
  const { stdout } = await run('ldd', [process.execPath]);
  return [...[...stdout.matchAll(/(\/\S+) \(0x/g)].map(([, file = '']) => file), seccomp];
}

/** Executes what follows in the root; its own mounts end with it. */
const setUp = `
set -e
root=$1 readonly=$2 data=$3
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
if [ "$readonly" = true ]; then
  mount -t tmpfs tmpfs "$root/var"
  mount -t tmpfs tmpfs "$root/tmp"
  mkdir "$root/tmp/old"
  mount -o remount,bind,ro "$root"
else
  mkdir -p "$root/tmp/old"
fi
if [ -n "$data" ]; then
  mkdir -p "$root/var/lib/northstate"
  mount --bind "$data" "$root/var/lib/northstate"
fi
cd "$root"
pivot_root . tmp/old
exec chroot . /bin/sh -c 'umount -l /tmp/old && echo up && exec sleep 100000'
`;

async function boot(directory: string, { readOnly, data = '' }: BootOptions): Promise<Device> {
  const args = ['--mount', '--propagation', 'private', 'sh', '-c', setUp, 'boot', directory, String(readOnly), data];
  const holder = spawn('unshare', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(holder, 'exit');
  const [answer] = (await Promise.race([once(holder.stdout, 'data'), ended])) as [unknown];
  if (String(answer) !== 'up\n') throw new Error(`the root ${directory} does not come up`);
  const enter = ['-t', String(holder.pid), '-m', '-r', '-w', 'env', '-i', 'PATH=/usr/bin:/bin:/sbin', 'HOME=/root'];
  const inside = (...command: readonly string[]): Promise<Output> => run('nsenter', [...enter, ...command]);
  let runtime: Promise<Output> | null = null;
  const shutDown = async (): Promise<number | null> => {
    if (runtime === null) return null;
    await inside('northstate', 'shutdown');
    return (await runtime).code;
  };
  return {
    run: inside,
    async start() {
      runtime = inside('northstate', 'run');
      const deadline = performance.now() + patience;
      const over = runtime.then(({ code, stderr }) => `it ended with ${code}:\n${stderr}`);
      while ((await inside('northstate', 'get')).code !== 0) {
        const how = await Promise.race([over, delay(50, null)]);
        if (how !== null) throw new Error(`the runtime does not come up: ${how}`);
        if (performance.now() > deadline) throw new Error('the console does not answer');
      }
    },
    shutDown,
    async [Symbol.asyncDispose]() {
      await shutDown();
      holder.kill('SIGKILL');
      await ended;
    },
  };
}

/** Whether a file is there, below a root. */
export function isIn(root: DeviceRoot, file: string): boolean {
  return existsSync(join(root.directory, file));
}
