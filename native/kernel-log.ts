// The kernel's log, without taking anything from it (syslog(2), SYSLOG_ACTION_READ_ALL).
import { declareAsync } from './libc.ts';

const READ_ALL = 3;
const most = 64 * 1024;

const klogctl = declareAsync('klogctl', 'int', ['int', 'void *', 'int']);

/** The newest 64 KiB of it. Rejects with SyscallError: EPERM without CAP_SYSLOG, ENOSYS where the kernel keeps none. */
export async function kernelLog(): Promise<string> {
  const buffer = Buffer.alloc(most);
  const size = await klogctl('the kernel log', READ_ALL, buffer, buffer.length);
  return buffer.toString('latin1', 0, size);
}
