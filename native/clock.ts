// The boot-time clock and the identity of this boot: deadlines count on the one, records of the other boot are void.
import { readFileSync } from 'node:fs';
import { declare } from './libc.ts';

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
