// What the kernel tells of the leaf of a running attempt: that it kills for want of memory, and that somebody has frozen
// or thawed it. Each is a descriptor for the launcher to watch; what has happened is read from the leaf's files then.
import { closeSync, constants, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createEventfd } from '../../native/eventfd.ts';
import { codeOf, readControl } from './cgroup-files.ts';
import { branchesOf, groupIn, type Branch, type Tree } from './cgroup-groups.ts';
import type { ControllerName } from './cgroup-hierarchies.ts';

/** `memory.events` of a group (cgroup-v2, "Memory Interface Files"); null is what cgroup v1 does not count. */
export interface MemoryEvents {
  readonly low: number | null;
  readonly high: number | null;
  readonly max: number | null;
  readonly oom: number | null;
  readonly oom_kill: number | null;
}

/** A descriptor that becomes ready, and how (WatchKind of native/wire/launcher.ts). It is the caller's to close. */
export interface Alarm {
  readonly fd: number;
  readonly kind: 'priority' | 'eventfd';
}

/**
 * Goes off when the kernel may have killed in the leaf. Null when there is no such leaf. On v2 that is memory.events; on v1
 * an eventfd at memory.oom_control, which goes off before the kill, and when the group is removed (cgroup-v1/memory, 10).
 */
export function openMemoryAlarm(tree: Tree, name: string, attempt: number): Alarm | null {
  const found = leafOf(tree, 'memory', name, attempt);
  if (found === null) return null;
  const { branch, leaf } = found;
  return opened(() => {
    if (branch.version === 2)
      return { fd: openSync(join(leaf, 'memory.events'), constants.O_RDONLY), kind: 'priority' };
    const control = openSync(join(leaf, 'memory.oom_control'), constants.O_RDONLY);
    const fd = createEventfd(leaf);
    try {
      writeFileSync(join(leaf, 'cgroup.event_control'), `${fd} ${control}`);
    } catch (error) {
      closeSync(fd);
      throw error;
    } finally {
      closeSync(control);
    }
    return { fd, kind: 'eventfd' };
  });
}

/** Goes off when the leaf is frozen or thawed. Null when there is no such leaf: the freezer of cgroup v1 tells nobody. */
export function openFreezeAlarm(tree: Tree, name: string, attempt: number): Alarm | null {
  const found = leafOf(tree, 'freezer', name, attempt);
  if (found?.branch.version !== 2) return null;
  const { leaf } = found;
  return opened(() => ({ fd: openSync(join(leaf, 'cgroup.events'), constants.O_RDONLY), kind: 'priority' }));
}

/** What has happened in a container: its own counts, and how many processes of this attempt were killed. */
export function memoryEvents(tree: Tree, name: string, attempt: number): MemoryEvents {
  const found = leafOf(tree, 'memory', name, attempt);
  const none = { low: null, high: null, max: null, oom: null, oom_kill: null };
  if (found === null) return none;
  const { branch, leaf } = found;
  const killed = (file: string): number | null => numberIn(readControl(join(leaf, file)), 'oom_kill');
  if (branch.version === 1) return { ...none, oom_kill: killed('memory.oom_control') };
  // The limits are the group's, so it is there that they are met; whom the kernel kills is counted in the leaf.
  const oomKill = killed('memory.events');
  // One reading: what is counted one after the other is told together.
  const events = readControl(join(groupIn(branch, name), 'memory.events'));
  return {
    low: numberIn(events, 'low'),
    high: numberIn(events, 'high'),
    max: numberIn(events, 'max'),
    oom: numberIn(events, 'oom'),
    oom_kill: oomKill,
  };
}

function numberIn(text: string | null, key: string): number | null {
  const line = new RegExp(`^${key} (\\d+)$`, 'm').exec(text ?? '');
  return line === null ? null : Number(line[1]);
}

/** Where a controller has the attempt; freezing is v2's own affair wherever there is a v2 tree. */
function leafOf(
  tree: Tree,
  controller: ControllerName,
  name: string,
  attempt: number,
): { readonly branch: Branch; readonly leaf: string } | null {
  const branches = branchesOf(tree, [controller]);
  const branch = branches.find(
    ({ version, controllers }) => controllers.includes(controller) || (version === 2 && controller === 'freezer'),
  );
  return branch === undefined ? null : { branch, leaf: join(groupIn(branch, name), String(attempt)) };
}

/** Null when the leaf is not there (any more). */
function opened(open: () => Alarm): Alarm | null {
  try {
    return open();
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENODEV') return null;
    throw error;
  }
}
