// The control groups of a start as the boot player makes them: where there are none yet, by what cgroup-leaf.ts and
// cgroup-writes.ts would do (native/wire/boot-plan.ts).
import { dirname, join } from 'node:path';
import type { Deed } from '../../native/wire/boot-plan.ts';
import { blanks } from '../../native/wire/boot-plan.ts';
import type { Cgroups as Section } from '../../state/schema/manifest.ts';
import { readControl } from './cgroup-files.ts';
import { allBranches, branchesOf, groupIn, groupsIn, type Branch, type Tree } from './cgroup-groups.ts';
import { unifiedName, type ControllerName } from './cgroup-hierarchies.ts';
import { controllersOf, withDefaults } from './cgroup-limits.ts';
import { attribute } from './cgroup-owner.ts';
import { budgetOf } from './cgroup-realtime.ts';
import { changesOfNew } from './cgroup-writes.ts';

/** The groups of one start. Paths are those of the leaf, or of its files. */
export interface BootGroups {
  /** Makes the group and the leaf. */
  readonly deeds: readonly Deed[];
  /** The leaf in the v2 tree, null without one. */
  readonly directory: string | null;
  /** cgroup.procs of v1. */
  readonly procs: readonly string[];
  /** Where its out-of-memory kills are counted, null without the memory controller. */
  readonly oom: string | null;
  /** What is written when it starts. */
  readonly limits: readonly { readonly path: string; readonly value: string }[];
}

/** Null: this section is not for a boot plan, since it counts on what else is there. */
export function bootGroups(
  tree: Tree,
  name: string,
  attempt: number,
  asked: Section | null,
  { everywhere, always }: { readonly everywhere: boolean; readonly always: readonly ControllerName[] },
): BootGroups | null {
  const section = withDefaults(asked, tree.hierarchies);
  if (section?.blkio !== undefined || section?.parent !== undefined || budgetOf(section) !== null) return null;
  if (tree.places.of(name) !== null) return null;
  const branches = everywhere ? allBranches(tree) : branchesOf(tree, new Set([...controllersOf(section), ...always]));
  const leafIn = (branch: Branch): string => join(groupIn(branch, name), String(attempt));
  const unified = branches.find(({ version }) => version === 2);
  const legacy = branches.filter(({ version }) => version === 1);
  const memory = branches.find(({ controllers }) => controllers.includes('memory'));
  const events = memory?.version === 2 ? 'memory.events' : 'memory.oom_control';
  return {
    deeds: [...branches.flatMap((branch) => groupDeeds(tree, branch, name, leafIn(branch))), ...ownDeeds()],
    directory: unified === undefined ? null : leafIn(unified),
    procs: legacy.map((branch) => join(leafIn(branch), 'cgroup.procs')),
    oom: memory === undefined ? null : join(leafIn(memory), events),
    limits: changesOfNew(tree.hierarchies, groupsIn(branches, name), section),
  };

  /** What v1 groups do not hand down; a new one has what the one above has. */
  function ownDeeds(): Deed[] {
    const of = (controller: ControllerName): Branch | undefined =>
      legacy.find(({ controllers }) => controllers.includes(controller));
    const values = [
      [of('memory'), 'memory.swappiness', section?.memory?.swappiness],
      [of('cpuset'), 'cpuset.cpus', section?.cpu?.cpus],
      [of('cpuset'), 'cpuset.mems', section?.cpu?.mems],
    ] as const;
    return values.flatMap(([branch, file, value]): Deed[] =>
      branch === undefined || value === undefined
        ? []
        : [{ deed: 'write', path: join(leafIn(branch), file), text: String(value) }],
    );
  }
}

function groupDeeds({ owner }: Tree, branch: Branch, name: string, leaf: string): Deed[] {
  const group = groupIn(branch, name);
  const handsMemoryDown = branch.version === 2 && branch.controllers.includes('memory');
  return [
    { deed: 'mkdir', path: group, mode: 0o755 },
    ...(handsMemoryDown
      ? [{ deed: 'write', path: join(group, 'cgroup.subtree_control'), text: '+memory' } as const]
      : []),
    { deed: 'mkdir', path: leaf, mode: 0o755 },
    { deed: 'xattr', path: leaf, name: attribute, text: owner },
  ];
}

/** What they all stand on: the hierarchies are as they are now, and our roots in them are ours alone. `slot` is free. */
export function bootRoots(tree: Tree, slot: number): Deed[] {
  const branches = allBranches(tree);
  const [first] = branches;
  const hierarchies = [...new Set(branches.map(({ mount, version }) => `${version} ${mount}`))];
  const conditions = hierarchies.map((each): Deed => {
    return { deed: 'hierarchy', path: each.slice(2), version: Number(each[0]) };
  });
  const { unified } = tree.hierarchies;
  const controllers = unified === null ? null : readControl(join(unified, 'cgroup.controllers'));
  return [
    ...conditions,
    ...(unified === null || controllers === null
      ? []
      : [expectControl(join(unified, 'cgroup.controllers'), controllers)]),
    ...branches.flatMap(rootDeeds),
    ...(first === undefined
      ? []
      : [
          { deed: 'claim', slot, path: first.root } as const,
          {
            deed: 'xattr',
            path: first.root,
            name: attribute,
            text: `process ${blanks.launcher} (stateDir ${tree.owner})`,
          } as const,
        ]),
  ];
}

function rootDeeds({ mount, root, version, controllers }: Branch): Deed[] {
  const made: Deed = { deed: 'mkdir', path: root, mode: 0o755 };
  if (version === 2) {
    const enabled = [mount, root].flatMap((directory) =>
      controllers.map((controller): Deed => {
        return { deed: 'write', path: join(directory, 'cgroup.subtree_control'), text: `+${unifiedName(controller)}` };
      }),
    );
    // The mount point hands down to the root, which is then there to hand down to the groups.
    return [...enabled.slice(0, controllers.length), made, ...enabled.slice(controllers.length)];
  }
  const sets = controllers.includes('cpuset') ? ['cpuset.cpus', 'cpuset.mems'] : [];
  const hierarchical = join(root, 'memory.use_hierarchy');
  return [
    made,
    ...(sets.length === 0 ? [] : [{ deed: 'write', path: join(root, 'cgroup.clone_children'), text: '1' } as const]),
    ...sets.flatMap((file): Deed[] => {
      const value = readControl(join(dirname(root), file)) ?? '';
      return [expectControl(join(dirname(root), file), value), { deed: 'write', path: join(root, file), text: value }];
    }),
    ...(controllers.includes('memory') && readControl(hierarchical) !== null
      ? [{ deed: 'write', path: hierarchical, text: '1' } as const]
      : []),
  ];
}

function expectControl(path: string, text: string): Deed {
  return { deed: 'expect', path, bytes: Buffer.from(`${text}\n`) };
}
