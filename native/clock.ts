// The boot-time clock and the identity of this boot: deadlines count on the one, records of the other boot are void.
import { readFileSync } from 'node:fs';
import { declare } from './libc.ts';
import { hasErrno } from '../state/errno.ts';

const CLOCK_BOOTTIME = 7;
const clockGettime = declare('clock_gettime', 'int', ['int', 'void *']);

/** CLOCK_BOOTTIME in ms, fractional: it counts through suspend and no one can set it (clock_gettime(2)). */
export function bootTime(): number {
  const timespec = new BigInt64Array(2);
  clockGettime('CLOCK_BOOTTIME', CLOCK_BOOTTIME, timespec);
  const [seconds = 0n, nanoseconds = 0n] = timespec;
  return Number(seconds) * 1000 + Number(nanoseconds) / 1e6;
}

/** The random UUID that the kernel gives each boot (random(4)). */
export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
}

const CLOCK_REALTIME = 0;
const TFD_CLOEXEC = 0o2000000;
const TFD_NONBLOCK = 0o4000;
const TFD_TIMER_ABSTIME = 1;
const TFD_TIMER_CANCEL_ON_SET = 2;
/** Seconds since 1970 that no clock shows: in the year 2255. */
const NEVER = 9_000_000_000n;

const timerfdCreate = declare('timerfd_create', 'int', ['int', 'int']);
const timerfdSettime = declare('timerfd_settime', 'int', ['int', 'int', 'void *', 'void *']);

/** A descriptor that is readable once somebody has set the wall clock (timerfd_create(2)). Throws SyscallError. */
export function openClockBell(): number {
  const bell = timerfdCreate('the wall clock', CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
  rearmClockBell(bell);
  return bell;
}

/** Has it ring at the next time that the clock is set. */
export function rearmClockBell(bell: number): void {
  const times = BigInt64Array.of(0n, 0n, NEVER, 0n);
  const arm = (): unknown =>
    timerfdSettime('the wall clock', bell, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, times, null);
  try {
    arm();
  } catch (error) {
    // It was set a moment ago: what is told by this has been noticed, and the second time counts from here.
    if (!hasErrno(error, 'ECANCELED')) throw error;
    arm();
  }
}
