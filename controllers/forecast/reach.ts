// On which names the cold boot of a name depends, and what of the state it comes from. Pure.
import type { ContainerEntry } from '../../state/desired.ts';
import { copiesOf, type ObservedPackage } from '../../state/observed.ts';
import type { State } from '../../state/store.ts';

export interface Reach {
  /** The name itself, what it depends on, and whose images it may need, and so on. */
  readonly names: ReadonlySet<string>;
  /** What is said and seen of each of them: as long as they are the same objects, its cold boot is the same. */
  readonly from: readonly unknown[];
}

/** For every name that is asked for or of which a package is there. */
export function* reachesOf({ desired, lock, ahead, observed }: State): Generator<readonly [string, Reach]> {
  const entries = Map.groupBy(desired.containers.values(), ({ name }) => name);
  const packagesOf = (name: string): readonly ObservedPackage[] => observed.packages.get(name) ?? nothing;
  const entriesOf = (name: string): readonly ContainerEntry[] => entries.get(name) ?? nothing;
  for (const name of new Set([...entries.keys(), ...observed.packages.keys()])) {
    const names = new Set([name]);
    const from: unknown[] = [];
    // What is added on the way is walked as well.
    for (const each of names) {
      for (const entry of entriesOf(each)) {
        from.push(entry, lock.get(entry.key));
        for (const other of entry.dependsOn.keys()) names.add(other);
      }
      const packages = packagesOf(each);
      from.push(each, packages, ahead.get(each));
      for (const other of resourcesOf(packages)) names.add(other);
    }
    yield [name, { names, from }];
  }
}

const nothing: readonly never[] = [];
const known = new WeakMap<readonly ObservedPackage[], readonly string[]>();

/** Names of the images that one of these packages mounts. */
function resourcesOf(packages: readonly ObservedPackage[]): readonly string[] {
  const before = known.get(packages);
  if (before !== undefined) return before;
  const mounts = packages.flatMap(copiesOf).flatMap(({ manifest }) => [...(manifest.mounts?.values() ?? [])]);
  const names = mounts.flatMap((mount) => (mount.type === 'resource' ? [mount.name] : []));
  known.set(packages, names);
  return names;
}
