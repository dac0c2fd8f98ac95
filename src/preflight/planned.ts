// What a state would have mounted and running: what the checks look at. Pure.
import { dataWork } from '../../controllers/kept-data/kept-data-plan.ts';
import { createModel } from '../../controllers/reconcile/model.ts';
import type { Target } from '../../controllers/controller.ts';
import { containerName } from '../../state/container-id.ts';
import type { ContainerEntry, Integrity, RepositoryEntry } from '../../state/desired.ts';
import type { Health } from '../../state/health.ts';
import { copiesOf, type ObservedPackage } from '../../state/observed.ts';
import type { Cgroups, Manifest } from '../../state/schema/manifest.ts';
import type { State } from '../../state/store.ts';

/** One entry, as far as it is known. */
export interface PlannedContainer {
  readonly key: string;
  readonly runs: boolean;
  readonly paused: boolean;
  /** Null: no package of it can be read yet. */
  readonly manifest: Manifest | null;
  /** The entry's where it has some, else the manifest's. */
  readonly cgroups: Cgroups | null;
  readonly health: Health | null;
  /** The name whose persistent data is to be kept before it starts; null = none. */
  readonly keeps: string | null;
}

/** One image that is to be mounted, by whom. */
export interface PlannedImage {
  readonly id: string;
  readonly entry: string;
  readonly type: 'squashfs' | 'erofs';
  readonly integrity: Integrity;
  readonly isMounted: boolean;
}

/** One package that is to be installed. */
export interface PlannedInstall {
  readonly entry: string;
  readonly repository: string;
  /** Null where it is not known. */
  readonly size: number | null;
}

export interface Planned {
  readonly containers: readonly PlannedContainer[];
  readonly images: readonly PlannedImage[];
  readonly installs: readonly PlannedInstall[];
  /** Those of the document and the configuration, and what they hold. */
  readonly repositories: ReadonlyMap<string, RepositoryEntry & { readonly packages: number; readonly size: number }>;
}

/** Packages that are not installed, by the source that they come from, and their sizes. */
export type KnownSources = ReadonlyMap<string, { readonly package: ObservedPackage | null; readonly size: number }>;

/** `sources`: what is known of packages that are not here yet. `now`: CLOCK_BOOTTIME in ms. */
export function plannedOf(state: State, sources: KnownSources, now: number): Planned {
  const installs = [...state.desired.containers.values()].filter((entry) => isToInstall(entry, state));
  const [first = ''] = state.desired.repositories.keys();
  const withSources = installs.reduce((before, entry) => withPackage(before, entry, sources), state);
  const model = createModel({ autostart: false });
  model.update(withSources, null);
  const views = [...model.names()].map((name) => model.view(name, now));
  const keeping = new Set(views.flatMap((view) => (dataWork(view) === 'keep-data' ? [view.name] : [])));
  const targets = views.flatMap((view) => view.targets);
  const wanted = targets.filter(({ entry }) => entry.state === 'mounted' || entry.state === 'running');
  const repositories = [...state.desired.repositories].map(([id, entry]) => {
    const { packages = 0, size = 0 } = state.observed.repositories.get(id) ?? {};
    return [id, { ...entry, packages, size }] as const;
  });
  return {
    containers: wanted.map((target) => containerOf(target, keeping)),
    images: imagesOf(wanted, withSources),
    installs: installs.map(({ key, repository, source }) => ({
      entry: key,
      repository: repository ?? first,
      size: sources.get(source ?? '')?.size ?? null,
    })),
    repositories: new Map(repositories),
  };
}

/** Whether an entry has a source, and nothing that is installed is meant by it. */
function isToInstall({ name, source, state, version, digest }: ContainerEntry, { observed }: State): boolean {
  if (source === null || state === 'absent') return false;
  const found = (observed.packages.get(name) ?? []).flatMap(copiesOf);
  return !found.some(
    (each) => (version === null || version === each.version) && (digest === null || digest === each.digest),
  );
}

function withPackage(state: State, { name, source, repository }: ContainerEntry, sources: KnownSources): State {
  const found = sources.get(source ?? '')?.package ?? null;
  if (found === null || found.name !== name) return state;
  const [first = ''] = state.desired.repositories.keys();
  const into = state.desired.repositories.get(repository ?? first);
  const placed = { ...found, repository: repository ?? first, integrity: into?.integrity ?? 'none' };
  const others = (state.observed.packages.get(name) ?? []).filter(({ id }) => id !== found.id);
  const packages = new Map(state.observed.packages).set(name, [placed, ...others]);
  return { ...state, observed: { ...state.observed, packages } };
}

function containerOf({ key, entry, package: found }: Target, keeping: ReadonlySet<string>): PlannedContainer {
  const { cgroups: manifests = null } = found?.manifest ?? {};
  return {
    key,
    runs: entry.state === 'running' && found?.manifest.init !== undefined,
    paused: entry.paused,
    manifest: found?.manifest ?? null,
    cgroups: entry.cgroups ?? manifests,
    health: entry.health ?? found?.health ?? null,
    keeps: entry.state === 'running' && keeping.has(entry.name) ? entry.name : null,
  };
}

/** Its own, and those of its resources. */
function imagesOf(targets: readonly Target[], { observed }: State): PlannedImage[] {
  const images = new Map<string, PlannedImage>();
  const add = (id: string, entry: string, found: ObservedPackage | undefined): void => {
    if (found === undefined || images.has(id)) return;
    const mounts = observed.mounts.get(found.name) ?? [];
    const isMounted = mounts.some((mount) => mount.id === id);
    images.set(id, { id, entry, type: found.image.type, integrity: found.integrity, isMounted });
  };
  for (const { key, package: found, resources } of targets) {
    if (found !== null) add(found.id, key, found);
    for (const { id } of resources) {
      if (id === null) continue;
      add(
        id,
        key,
        observed.packages.get(containerName(id))?.find((each) => each.id === id),
      );
    }
  }
  return [...images.values()];
}
