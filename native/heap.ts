// The C library's heap: what was freed in it goes back to the system only when somebody says so (malloc_trim(3)).
import { declare } from './libc.ts';

const trim = declareTrim();

/** glibc's; other C libraries have no such call, and give back by themselves. */
function declareTrim(): (() => void) | null {
  try {
    const call = declare('malloc_trim', 'int', ['size_t']);
    return () => void call('the heap', 0);
  } catch {
    return null;
  }
}

/** Gives free memory of the heap back to the system. */
export function trimHeap(): void {
  trim?.();
}
