// Counters that the kernel raises, as descriptors (eventfd(2)).
import { declare } from './libc.ts';

const EFD_CLOEXEC = 0o2000000;
const EFD_NONBLOCK = 0o4000;

const eventfd = declare('eventfd', 'int', ['unsigned int', 'int']);

/** A new counter at 0. The descriptor is the caller's to close. Throws SyscallError; `subject` is for its text. */
export function createEventfd(subject: string): number {
  return eventfd(subject, 0, EFD_CLOEXEC | EFD_NONBLOCK);
}
