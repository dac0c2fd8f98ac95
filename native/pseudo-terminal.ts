// A pseudo-terminal of a devpts of its own, which is mounted nowhere: no container needs one, none can open another's, and
// nothing in it leads to a terminal of the host (pts(4), ioctl_tty(2)).
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { declare, declareSyscall } from './libc.ts';
import { hasErrno } from '../state/errno.ts';

const O_CLOEXEC = 0x80000;
const FSOPEN_CLOEXEC = 1;
const FSMOUNT_CLOEXEC = 1;
const FSCONFIG_SET_STRING = 1;
const FSCONFIG_CMD_CREATE = 6;
const TIOCSPTLCK = 0x40045431;
const TIOCGPTPEER = 0x5441;
const TIOCSWINSZ = 0x5414;
const { O_NOCTTY, O_NONBLOCK, O_RDWR } = constants;

const fsopen = declareSyscall('fsopen', 430, ['str', 'unsigned int']);
const fsconfig = declareSyscall('fsconfig', 431, ['int', 'unsigned int', 'str', 'str', 'int']);
const fsmount = declareSyscall('fsmount', 432, ['int', 'unsigned int', 'unsigned int']);
const ioctl = declare('ioctl', 'int', ['int', 'unsigned long', 'void *']);
const ioctlOfNumber = declare('ioctl', 'int', ['int', 'unsigned long', 'long']);

export interface PseudoTerminal {
  /** Our side; it does not block. */
  readonly master: number;
  /** The side that a program has for its terminal. */
  readonly peer: number;
}

/** Rows and columns of characters. */
export interface TerminalSize {
  readonly rows: number;
  readonly columns: number;
}

/** Makes one; both descriptors are the caller's to close. Throws SyscallError, or what node:fs throws. */
export function openPseudoTerminal(size: TerminalSize): PseudoTerminal {
  const context = fsopen('devpts', 'devpts', FSOPEN_CLOEXEC);
  let mount = -1;
  try {
    fsconfig('devpts', context, FSCONFIG_SET_STRING, 'ptmxmode', '0600', 0);
    fsconfig('devpts', context, FSCONFIG_CMD_CREATE, null, null, 0);
    mount = fsmount('devpts', context, FSMOUNT_CLOEXEC, 0);
    const master = openSync(`/proc/self/fd/${mount}/ptmx`, O_RDWR | O_NOCTTY | O_NONBLOCK);
    try {
      ioctl('TIOCSPTLCK', master, TIOCSPTLCK, new Int32Array([0]));
      resizeTerminal(master, size);
      return { master, peer: ioctlOfNumber('TIOCGPTPEER', master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC) };
    } catch (error) {
      closeSync(master);
      throw error;
    }
  } finally {
    if (mount >= 0) closeSync(mount);
    closeSync(context);
  }
}

/** Tells the foreground of the terminal its new size (SIGWINCH). Throws SyscallError. */
export function resizeTerminal(master: number, { rows, columns }: TerminalSize): void {
  ioctl('TIOCSWINSZ', master, TIOCSWINSZ, new Uint16Array([rows, columns, 0, 0]));
}

/** Writes what there is room for; gives how many bytes that was. What it throws says that nobody has the other side. */
export function writeTerminal(master: number, bytes: Uint8Array): number {
  try {
    return writeSync(master, bytes);
  } catch (error) {
    if (hasErrno(error, 'EAGAIN')) return 0;
    throw error;
  }
}
