// The priority that the launcher gives the first reconciler of a boot (native/launcher/inherited.c).
import { writeFileSync } from 'node:fs';
import { errnoOf } from '../state/errno.ts';
import { declare } from './libc.ts';

const PRIO_PGRP = 1;
const setPriority = declare('setpriority', 'int', ['int', 'int', 'int']);

/**
 * Goes back to the priority that the launcher was started with, where this process has a higher one, with all its threads and children
 * (setpriority(2); the group of its session, sched(7)). `refused` hears what the host does not allow: that part it keeps.
 */
export function givePriorityBack(refused: (error: unknown) => void): void {
  const level = process.env['NORTHSTATE_RAISED_FROM'];
  if (level === undefined) return;
  delete process.env['NORTHSTATE_RAISED_FROM'];
  try {
    setPriority('the priority', PRIO_PGRP, 0, Number(level));
  } catch (error) {
    refused(error);
  }
  try {
    writeFileSync('/proc/self/autogroup', '0');
  } catch (error) {
    // A kernel that does not schedule by session has no such file.
    if (errnoOf(error) !== 'ENOENT') refused(error);
  }
}
