// All packages of all repositories by container name. Pure.
import { basename, dirname, join } from 'node:path';
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
    .map((found) => ({ found, rank: rank(found) }))
    .sort(
      (a, b) => order(a.found.repository, b.found.repository) || a.rank - b.rank || order(a.found.path, b.found.path),
    );
  const all = new Map<string, ObservedPackage[]>();
  const duplicates: string[] = [];
  const tell = ({ path, repository: id }: ObservedPackage, message: string): void => {
    const repository = observed.get(id);
    if (repository !== undefined) {
      observed.set(id, { ...repository, broken: [...repository.broken, { path, message }] });
    }
  };
  const damaged = new Set([...observed.values()].flatMap(({ broken }) => broken.map(({ path }) => path)));
  for (const { found, rank: named } of ordered) {
    const proper =
      damaged.size > 0 && named === Rank.aside ? properNames(found).find((path) => damaged.has(path)) : undefined;
    if (proper !== undefined) {
      tell(found, `${proper} is broken, and what was put aside does not take its place`);
      continue;
    }
    const kept = all.get(found.id) ?? [];
    const same = kept.find(({ repository }) => repository === found.repository);
    if (same === undefined) all.set(found.id, [...kept, found]);
    const first = same ?? kept[0];
    if (first === undefined) continue;
    const message = `${found.id} is already in ${first.path}`;
    duplicates.push(`${found.path}: ${message}`);
    tell(found, message);
  }
  const first = [...all.values()].flatMap(([found, ...elsewhere]) =>
    found === undefined ? [] : [elsewhere.length === 0 ? found : { ...found, elsewhere }],
  );
  const packages = Map.groupBy(first, ({ name }) => name);
  for (const versions of packages.values()) versions.sort((a, b) => compareVersions(b.version, a.version));
  return { repositories: observed, packages, duplicates };
}

/** How a file is named: as an installation does, as `pack` does, in another way, or hidden or with another ending. */
const Rank = { installed: 0, packed: 1, other: 2, aside: 3 } as const;

/** What somebody has put aside never beats the proper one. */
function rank(found: ObservedPackage): number {
  const file = basename(found.path);
  const proper = fileNames(found).indexOf(file);
  if (proper >= 0) return proper;
  return file.startsWith('.') || !file.endsWith('.npk') ? Rank.aside : Rank.other;
}

function fileNames({ name, version }: ObservedPackage): [installed: string, packed: string] {
  return [`${name}:${version}.npk`, `${name}-${version}.npk`];
}

function properNames(found: ObservedPackage): string[] {
  return fileNames(found).map((file) => join(dirname(found.path), file));
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
