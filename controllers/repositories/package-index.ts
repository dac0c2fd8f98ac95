// All packages of all repositories by container name. Pure.
import { basename } from 'node:path';
import type { ObservedPackage, ObservedRepository } from '../../state/observed.ts';
import { compareVersions } from '../../state/version.ts';

export interface PackageIndex {
  readonly repositories: ReadonlyMap<string, ObservedRepository>;
  /** By container name, highest version first. */
  readonly packages: ReadonlyMap<string, readonly ObservedPackage[]>;
  /** For a person: what is installed twice, and where. */
  readonly duplicates: readonly string[];
}

/**
 * Of a container that is there twice, one counts: of two files in a repository that with the name that an installation gives
 * it, then that with the name that `pack` does, then the first by path; of two repositories the first by id, unless an entry
 * names the other. The others show as broken.
 */
export function indexPackages(
  sources: readonly { packages(): readonly ObservedPackage[]; observed(): ObservedRepository }[],
): PackageIndex {
  const observed = new Map(sources.map((source) => [source.observed().id, source.observed()]));
  const ordered = sources
    .flatMap((source) => source.packages())
    .sort((a, b) => order(a.repository, b.repository) || rank(a) - rank(b) || order(a.path, b.path));
  const all = new Map<string, ObservedPackage[]>();
  const duplicates: string[] = [];
  for (const found of ordered) {
    const kept = all.get(found.id) ?? [];
    const same = kept.find(({ repository }) => repository === found.repository);
    if (same === undefined) all.set(found.id, [...kept, found]);
    const first = same ?? kept[0];
    if (first === undefined) continue;
    const message = `${found.id} is already in ${first.path}`;
    duplicates.push(`${found.path}: ${message}`);
    const repository = observed.get(found.repository);
    if (repository === undefined) continue;
    observed.set(found.repository, { ...repository, broken: [...repository.broken, { path: found.path, message }] });
  }
  const first = [...all.values()].flatMap(([found, ...elsewhere]) =>
    found === undefined ? [] : [elsewhere.length === 0 ? found : { ...found, elsewhere }],
  );
  const packages = Map.groupBy(first, ({ name }) => name);
  for (const versions of packages.values()) versions.sort((a, b) => compareVersions(b.version, a.version));
  return { repositories: observed, packages, duplicates };
}

/** How a file is named. What somebody has put aside, hidden or under another ending, never beats the proper one. */
function rank({ path, name, version }: ObservedPackage): number {
  const file = basename(path);
  if (file === `${name}:${version}.npk`) return 0;
  if (file === `${name}-${version}.npk`) return 1;
  return file.startsWith('.') || !file.endsWith('.npk') ? 3 : 2;
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
