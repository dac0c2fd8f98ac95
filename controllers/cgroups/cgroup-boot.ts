// The control groups of a start as the boot player makes them: where there are none yet, by what cgroup-leaf.ts and
// cgroup-writes.ts would do (native/wire/boot-plan.ts).
import { dirname, join } from 'node:path';
import type { Deed } from '../../native/wire/boot-plan.ts';
import { blanks } from '../../native/wire/boot-plan.ts';
import type { Cgroups as Section } from '../../state/schema/manifest.ts';
import { readControl } from './cgroup-files.ts';
import { branchesOf, createTree, groupIn, groupsIn, mostGroups, type Branch, type Tree } from './cgroup-groups.ts';
import { unifiedName, type ControllerName } from './cgroup-hierarchies.ts';
import { controllersOf, withDefaults } from './cgroup-limits.ts';
import { processesOf } from './cgroup-leaf.ts';
import { attribute } from './cgroup-owner.ts';
import { lookAt, type Look } from '../look.ts';
import { lineOf } from './cgroup-places.ts';
import { parentOf } from './cgroups-plan.ts';
import { budgetOf, periodFile, runtimeFile, usualPeriod } from './cgroup-realtime.ts';
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
  /** What of the host's own groups these were made by. */
  readonly looks: readonly Look[];
  /** What is written when it starts. */
  readonly limits: readonly { readonly path: string; readonly value: string }[];
}

interface Options {
  readonly everywhere: boolean;
  readonly always: readonly ControllerName[];
  /** Where it is kept which groups are not below our root (cgroup-places.ts). */
  readonly placesFile: string;
}

/** What a start with this section makes of groups after a boot, whatever there is now. */
export function bootGroups(
  tree: Tree,
  name: string,
  attempt: number,
  asked: Section | null,
  { everywhere, always, placesFile }: Options,
): BootGroups {
  const section = withDefaults(asked, tree.hierarchies);
  const parent = parentOf(section);
  const placed = createTree({ ...tree, places: { ...tree.places, of: () => parent } });
  const among = (each: Tree): readonly Branch[] =>
    everywhere ? each.all : branchesOf(each, new Set([...controllersOf(section), ...always]));
  const branches = among(placed);
  const leafIn = (branch: Branch): string => join(groupIn(branch, name), String(attempt));
  const unified = branches.find(({ version }) => version === 2);
  const legacy = branches.filter(({ version }) => version === 1);
  const memory = branches.find(({ controllers }) => controllers.includes('memory'));
  const events = memory?.version === 2 ? 'memory.events' : 'memory.oom_control';
  const looks: Look[] = [];
  return {
    looks,
    deeds: [
      ...(parent === null ? [] : branches.flatMap((branch) => aboveDeeds(branch, parent, placesFile))),
      ...(parent === null
        ? []
        : [{ deed: 'append', path: placesFile, bytes: lineOf({ names: [[name, parent]], made: [] }) } as const]),
      ...branches.flatMap((branch) => groupDeeds(tree, branch, name, leafIn(branch))),
      ...ownDeeds(),
    ],
    directory: unified === undefined ? null : leafIn(unified),
    procs: legacy.map((branch) => join(processesOf(branch, leafIn(branch), section), 'cgroup.procs')),
    oom: memory === undefined ? null : join(leafIn(memory), events),
    limits: changesOfNew(tree.hierarchies, groupsIn(branches, name), section, groupsIn(among(tree), name)),
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
    const cpu = of('cpu');
    return [
      ...(cpu === undefined ? [] : realtimeDeeds(cpu, name, section, parent === null, looks)),
      ...values.flatMap(([branch, file, value]): Deed[] =>
        branch === undefined || value === undefined
          ? []
          : [{ deed: 'write', path: join(leafIn(branch), file), text: String(value) }],
      ),
    ];
  }
}

/** Our root has what those need that run now, of whom this is one (cgroup-realtime.ts). */
function realtimeDeeds(branch: Branch, name: string, section: Section | null, below: boolean, looks: Look[]): Deed[] {
  const budget = budgetOf(section);
  if (budget === null) return [];
  const group = groupIn(branch, name);
  const looked = lookAt(() => readControl(join(branch.root, runtimeFile)));
  looks.push(looked);
  const whole = looked.found;
  return [
    ...(below && whole !== null ? [{ deed: 'write', path: join(branch.root, runtimeFile), text: whole } as const] : []),
    ...(budget.period === usualPeriod
      ? []
      : [{ deed: 'write', path: join(group, periodFile), text: String(budget.period) } as const]),
    { deed: 'write', path: join(group, runtimeFile), text: String(budget.runtime) },
  ];
}

/** The directories above a group with a parent: what is there is somebody else's, what is made is noted as ours. */
function aboveDeeds({ mount, version, controllers }: Branch, parent: string, file: string): Deed[] {
  const steps = parent.split('/');
  const directories = steps.map((_, index) => join(mount, ...steps.slice(0, index + 1)));
  const cpuset = version === 1 && controllers.includes('cpuset');
  const memory = version === 1 && controllers.includes('memory');
  return directories.flatMap((path, index): Deed[] => [
    { deed: 'above', path, cpuset, memory, file, bytes: lineOf({ names: [], made: [path] }) },
    ...(version === 2 ? [dirname(path), ...(index === steps.length - 1 ? [path] : [])] : []).flatMap((directory) =>
      handingDown(directory, controllers),
    ),
  ]);
}

/** The v2 tree hands controllers down to the groups in a directory, one by one: the error names the one refused. */
function handingDown(directory: string, controllers: readonly ControllerName[]): Deed[] {
  const path = join(directory, 'cgroup.subtree_control');
  return controllers.map((name) => ({ deed: 'write', path, text: `+${unifiedName(name)}` }));
}

function groupDeeds({ owner }: Tree, branch: Branch, name: string, leaf: string): Deed[] {
  const group = groupIn(branch, name);
  const handsMemoryDown = branch.version === 2 && branch.controllers.includes('memory');
  return [
    { deed: 'mkdir', path: group, mode: 0o755 },
    ...(branch.version === 2
      ? [{ deed: 'write', path: join(group, 'cgroup.max.descendants'), text: String(mostGroups) } as const]
      : []),
    ...(handsMemoryDown ? handingDown(group, ['memory']) : []),
    { deed: 'mkdir', path: leaf, mode: 0o755 },
    { deed: 'xattr', path: leaf, name: attribute, text: owner },
  ];
}

/** What they all stand on: the hierarchies are as they are now, and our roots in them are ours alone. `slot` is free. */
export function bootRoots(tree: Tree, slot: number): Deed[] {
  const branches = tree.all;
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
    // The mount point hands down to the root, which is then there to hand down to the groups.
    return [...handingDown(mount, controllers), made, ...handingDown(root, controllers)];
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
