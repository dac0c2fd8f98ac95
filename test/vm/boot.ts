// Boots the image under qemu in software emulation and runs one command in it.
import { spawn } from 'node:child_process';
import type { Image } from './image.ts';

export interface GuestResult {
  /** Exit status of the command, null when the guest did not come so far. */
  readonly status: number | null;
  readonly output: string;
}

/**
 * Runs a shell command in the guest, in the project's folder, as root, and powers off. `timeout` is in milliseconds;
 * after it the machine is killed and `status` is null. `parameters` are further ones of the kernel. Qemu needs no /dev/kvm.
 */
export function boot(image: Image, command: string, timeout: number, parameters = ''): Promise<GuestResult> {
  const encoded = Buffer.from(command).toString('base64');
  const append = `console=ttyS0 quiet panic=-1 ${parameters} northstate.command=${encoded}`;
  const child = spawn(
    'qemu-system-x86_64',
    [
      ...[
        '-accel',
        'tcg,thread=multi',
        '-cpu',
        'max',
        '-smp',
        '2',
        '-m',
        '2048',
        '-nodefaults',
        '-no-reboot',
        '-display',
        'none',
      ],
      ...['-kernel', image.kernel, '-initrd', image.initramfs, '-append', append, '-serial', 'stdio'],
      ...['-drive', `file=${image.base},format=raw,if=virtio,readonly=on`],
      ...['-drive', `file=${image.sources},format=raw,if=virtio,readonly=on`],
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const killer = setTimeout(() => child.kill('SIGKILL'), timeout);
  let output = '';
  const collect = (chunk: Buffer): void => {
    output = (output + chunk.toString('latin1')).slice(-(4 << 20));
  };
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', () => {
      clearTimeout(killer);
      const text = Buffer.from(output, 'latin1').toString('utf8').replaceAll('\r', '');
      const status = /^northstate-guest-exit: (\d+)$/m.exec(text)?.[1];
      resolve({ status: status === undefined ? null : Number(status), output: text });
    });
  });
}
