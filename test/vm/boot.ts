// Boots the image under qemu in software emulation and runs one command in it.
import { spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import type { Image } from './guest-image.ts';

export interface Machine {
  /** What the guest writes to its console, and qemu to its standard error. */
  readonly output: Readable;
  /** What is typed at the console. */
  readonly input: Writable;
  /** Resolves when qemu has ended, rejects when it cannot be run. */
  readonly ended: Promise<void>;
  /** The power goes, at once. */
  kill(): void;
}

export interface Hardware {
  /** Further parameters of the kernel. */
  readonly parameters?: string;
  /** A disk that can be written: /dev/vdc. In qemu's words (`url` of a DiskServer). */
  readonly disk?: string;
}

/**
 * Starts a machine that runs a shell command in the project's folder, as root, and powers off; its exit status is the last
 * line of the output (`exitStatus`). Qemu needs no /dev/kvm and no right.
 */
export function startMachine(image: Image, command: string, { parameters = '', disk }: Hardware = {}): Machine {
  const encoded = Buffer.from(command).toString('base64');
  // An emulated processor has no faults to look for, and its timer comes late when the host is busy: a kernel that tests
  // it then takes it for broken (MP-BIOS bug) and may hang.
  const emulated = 'no_timer_check tsc=reliable mitigations=off cryptomgr.notests';
  const append = `console=ttyS0 quiet panic=-1 ${emulated} ${parameters} northstate.command=${encoded}`;
  const drives = [
    `file=${image.base},format=raw,readonly=on`,
    `file=${image.sources},format=raw,readonly=on`,
    ...(disk === undefined ? [] : [`file=${disk},format=raw,cache=writeback`]),
  ];
  const child = spawn(
    'qemu-system-x86_64',
    [
      ...['-accel', 'tcg,thread=multi', '-cpu', 'max', '-smp', '2', '-m', '1024'],
      ...['-nodefaults', '-no-reboot', '-display', 'none', '-serial', 'stdio'],
      ...['-kernel', image.kernel, '-initrd', image.initramfs, '-append', append],
      ...drives.flatMap((drive) => ['-drive', `${drive},if=virtio`]),
    ],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  const ended = new Promise<void>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', () => {
      process.off('exit', kill);
      resolve();
    });
  });
  // Typed at a machine that has just gone: its end is what is waited for.
  child.stdin.on('error', () => undefined);
  return { output: child.stdout, input: child.stdin, ended, kill };
}

/** The exit status of a machine's command, null when it did not come so far. */
export function exitStatus(output: string): number | null {
  const status = /^northstate-guest-exit: (\d+)$/m.exec(output)?.[1];
  return status === undefined ? null : Number(status);
}

export interface GuestResult {
  /** Exit status of the command, null when the guest did not come so far. */
  readonly status: number | null;
  /** The last 4 MiB of it. */
  readonly output: string;
}

/** Runs a command in a machine of its own. `timeout` is in ms; after it the machine is killed and `status` is null. */
export async function boot(
  image: Image,
  command: string,
  timeout: number,
  hardware: Hardware = {},
): Promise<GuestResult> {
  const machine = startMachine(image, command, hardware);
  const killer = setTimeout(machine.kill, timeout);
  let output = '';
  machine.output.setEncoding('utf8');
  machine.output.on('data', (text: string) => {
    output = (output + text.replaceAll('\r', '')).slice(-(4 << 20));
  });
  try {
    await machine.ended;
  } finally {
    clearTimeout(killer);
  }
  return { status: exitStatus(output), output };
}
