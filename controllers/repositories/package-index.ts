// All packages of all repositories by container name. Pure.
import type { ObservedPackage, ObservedRepository } from '../../state/observed.ts';
import { compareVersions } from '../../state/version.ts';

export interface PackageIndex {
  readonly repositories: ReadonlyMap<string, ObservedRepository>;
  /** By container name, highest version first. */
  readonly packages: ReadonlyMap<string, readonly ObservedPackage[]>;
  /** For a person: what is installed twice, and where. */
  readonly duplicates: readonly string[];
}

/** Of a container that is there twice, the first counts: by repository id, then by path. The others show as broken. */
export function indexPackages(
  sources: readonly { packages(): readonly ObservedPackage[]; observed(): ObservedRepository }[],
): PackageIndex {
  const observed = new Map(sources.map((source) => [source.observed().id, source.observed()]));
  const ordered = sources
    .flatMap((source) => source.packages())
    .sort((a, b) => order(a.repository, b.repository) || order(a.path, b.path));
  const first = new Map<string, ObservedPackage>();
  const duplicates: string[] = [];
  for (const found of ordered) {
    const kept = first.get(found.id);
    if (kept === undefined) first.set(found.id, found);
    else {
      const message = `${found.id} is already in ${kept.path}`;
      duplicates.push(`${found.path}: ${message}`);
      const repository = observed.get(found.repository);
      if (repository === undefined) continue;
      observed.set(found.repository, { ...repository, broken: [...repository.broken, { path: found.path, message }] });
    }
  }
  const packages = Map.groupBy(first.values(), ({ name }) => name);
  for (const versions of packages.values()) versions.sort((a, b) => compareVersions(b.version, a.version));
  return { repositories: observed, packages, duplicates };
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
