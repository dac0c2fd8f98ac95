// The size of a memory page: the kernel rounds memory limits to it.
import { declare } from './libc.ts';

const SC_PAGESIZE = 30;
const sysconf = declare('sysconf', 'long', ['int']);

/** Bytes (sysconf(3), _SC_PAGESIZE). */
export function pageSize(): number {
  return sysconf('_SC_PAGESIZE', SC_PAGESIZE);
}
