// The priority that the launcher gives the first reconciler of a boot (native/launcher/inherited.c).
import { writeFileSync } from 'node:fs';
import { declare } from './libc.ts';

const PRIO_PGRP = 1;
const setPriority = declare('setpriority', 'int', ['int', 'int', 'int']);

/** Goes back to the priority that the launcher was started with, where this process has a higher one, with all its threads and children. */
export function givePriorityBack(): void {
  const level = process.env['NORTHSTATE_RAISED_FROM'];
  if (level === undefined) return;
  delete process.env['NORTHSTATE_RAISED_FROM'];
  for (const lower of [
    () => setPriority('the priority', PRIO_PGRP, 0, Number(level)),
    // A kernel that does not schedule by session has no such file.
    () => writeFileSync('/proc/self/autogroup', '0'),
  ]) {
    try {
      lower();
    } catch {
      // What this host does not let go of it has.
    }
  }
}
