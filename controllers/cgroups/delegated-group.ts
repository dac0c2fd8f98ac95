// The control group that an init system has delegated to us (systemd's CGROUP_DELEGATION.md): below it everything is ours, and
// `daemon-reload` leaves it alone, which it promises of no other group.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Deed } from '../../native/wire/boot-plan.ts';
import { readAttribute } from '../../native/xattr.ts';
import { codeOf } from './cgroup-files.ts';
import { detectHierarchies } from './cgroups-observe.ts';

/** Ours below the delegated group: where the runtime itself is, and where the groups of containers are made. */
const [leaf, root] = ['launcher', 'containers'];

/**
 * Moves this process and the launcher into a leaf of the delegated group, so that controllers can be enabled in it (a group of
 * cgroup v2 with processes has none for its children), and gives the name below which containers' groups are made. They may be
 * there already. Null when nothing has been delegated: no v2 tree, controllers in v1 hierarchies, or a group that is not ours.
 * Rejects when the move fails.
 */
export async function enterDelegatedGroup(launcher: number): Promise<string | null> {
  const { unified, legacy } = detectHierarchies();
  if (unified === null || legacy.size > 0) return null;
  const own = delegatedName(await readFile(`/proc/${launcher}/cgroup`, 'utf8'));
  if (own === null || !isDelegated(join(unified, own))) return null;
  const delegated = join(unified, own);
  await mkdir(join(delegated, leaf), { recursive: true });
  for (const pid of [launcher, process.pid]) await writeFile(join(delegated, leaf, 'cgroup.procs'), String(pid));
  const controllers = (await readFile(join(delegated, 'cgroup.controllers'), 'utf8')).trim().split(/\s+/);
  await writeFile(join(delegated, 'cgroup.subtree_control'), controllers.map((name) => `+${name}`).join(' '));
  return join(own, root);
}

/** The same as the boot player does it, for a group that was `configured`, and is `name`. */
export async function bootDelegation(configured: string, name: string): Promise<Deed[]> {
  const { unified, legacy } = detectHierarchies();
  if (configured !== 'auto' || unified === null || legacy.size > 0) return [];
  if (!name.endsWith(`/${root}`)) return [{ deed: 'undelegated', mount: unified }];
  const group = name.slice(0, -root.length - 1);
  const controllers = (await readFile(join(unified, group, 'cgroup.controllers'), 'utf8')).trim().split(/\s+/);
  const enabled = controllers.map((controller) => `+${controller}`).join(' ');
  return [
    { deed: 'delegated', mount: unified, group, leaf },
    { deed: 'write', path: join(unified, group, 'cgroup.subtree_control'), text: enabled },
  ];
}

/**
 * The group of the v2 tree that /proc/PID/cgroup tells, without the slash, and of a process that has entered it the one above
 * its leaf; null for its root, and for one out of sight.
 */
export function delegatedName(table: string): string | null {
  const path = /^0::\/(.+)$/m.exec(table)?.[1] ?? null;
  if (path === null || path.split('/').includes('..')) return null;
  return path.endsWith(`/${leaf}`) ? path.slice(0, -leaf.length - 1) : path;
}

/** Systemd marks what it has delegated; a kernel without these attributes has nothing that is marked. */
function isDelegated(directory: string): boolean {
  try {
    return readAttribute(directory, 'trusted.delegate')?.toString() === '1';
  } catch (error) {
    if (['EOPNOTSUPP', 'EPERM'].includes(codeOf(error))) return false;
    throw error;
  }
}
