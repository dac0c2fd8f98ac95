// A machine with Debian's root and kernel, as a device has them: its disk lasts over reboots, and what it is told to do is a
// script that it runs at every boot until the script has switched it off.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync } from 'node:fs';
import { chmod, cp, mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Architecture } from '../../src/release/architectures.ts';
import { diskInit, findKernel, makeInitramfs } from './initramfs.ts';
import { cache } from './kept.ts';

const run = promisify(execFile);

/** How qemu emulates each processor, and where the console of its kernel is. */
const emulators = {
  amd64: {
    program: 'qemu-system-x86_64',
    options: ['-cpu', 'max'],
    console: 'ttyS0',
    tuning: 'no_timer_check tsc=reliable',
  },
  arm64: {
    program: 'qemu-system-aarch64',
    options: ['-machine', 'virt', '-cpu', 'neoverse-n1'], // one that knows pages of 16 kB, too
    console: 'ttyAMA0',
    tuning: '',
  },
} as const;

export interface DebianOptions {
  readonly architecture: Architecture;
  /** The root: an archive of it, or a folder. */
  readonly root: string;
  /** What is copied into it: path in the guest -> file or folder here. */
  readonly files: Readonly<Record<string, string>>;
  /** What is written into it: path in the guest -> content; an executable one. */
  readonly scripts: Readonly<Record<string, string>>;
  /** The kernel's folder, as the set-up has unpacked it, and a static busybox of this architecture. */
  readonly kernel: string;
  readonly busybox: string;
}

/** Boots it until it switches itself off; gives all that it wrote to its console, which lies in .build/vm meanwhile. After `timeout` ms its power goes. */
export async function runDebian(options: DebianOptions, timeout: number): Promise<string> {
  const { architecture } = options;
  const { program, options: hardware, console, tuning } = emulators[architecture];
  const work = await mkdtemp(path.join(tmpdir(), 'northstate-debian-'));
  try {
    const disk = await makeDisk(options, work);
    const kernel = await findKernel(options.kernel);
    const init = { kind: `disk${architecture}`, init: diskInit, busybox: options.busybox };
    const initramfs = await makeInitramfs(kernel, init);
    const append = `console=${console} quiet panic=-1 mitigations=off cryptomgr.notests ${tuning} systemd.show_status=false`;
    const words = [
      ...['-accel', 'tcg,thread=multi', ...hardware, '-smp', '2', '-m', '1024'],
      ...['-nodefaults', '-display', 'none', '-serial', 'stdio'],
      ...['-kernel', kernel.image, '-initrd', initramfs, '-append', append],
      ...['-drive', `file=${disk},format=raw,if=virtio,cache=unsafe`],
    ];
    const machine = spawn(program, words, { stdio: ['ignore', 'pipe', 'inherit'] });
    const kill = (): void => void machine.kill('SIGKILL');
    process.once('exit', kill);
    const timer = setTimeout(kill, timeout);
    const log = path.join(cache, `console-${architecture}.log`);
    await writeFile(log, '');
    machine.stdout.on('data', (bytes: Buffer) => appendFileSync(log, bytes));
    await once(machine, 'close');
    clearTimeout(timer);
    process.off('exit', kill);
    return (await readFile(log, 'utf8')).replaceAll('\r', '');
  } finally {
    await rm(work, { recursive: true });
  }
}

/** An ext4 image with the root, 512 MiB larger than what is in it. */
async function makeDisk({ root, files, scripts }: DebianOptions, work: string): Promise<string> {
  const folder = path.join(work, 'root');
  await mkdir(folder);
  if (root.endsWith('.tar')) await run('tar', ['-xf', root, '-C', folder, '--numeric-owner']);
  else await run('cp', ['-a', `${root}/.`, folder]); // with its device nodes, which Node does not copy
  for (const [target, source] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(folder, target)), { recursive: true });
    await cp(source, path.join(folder, target), { recursive: true, verbatimSymlinks: true });
  }
  for (const [target, content] of Object.entries(scripts)) {
    await mkdir(path.dirname(path.join(folder, target)), { recursive: true });
    await writeFile(path.join(folder, target), content);
    await chmod(path.join(folder, target), 0o755);
  }
  const disk = path.join(work, 'disk');
  const { stdout } = await run('du', ['-sb', '--block-size=1M', folder]);
  await writeFile(disk, '');
  await truncate(disk, (Math.ceil(Number.parseInt(stdout, 10) * 1.2) + 512) * 2 ** 20);
  await run('mkfs.ext4', ['-q', '-O', '^has_journal', '-d', folder, disk]);
  await rm(folder, { recursive: true });
  return disk;
}

/** Files that the set-up has made for these machines. */
export const debianRoot = path.join(cache, 'debian.tar');
