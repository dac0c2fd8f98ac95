// Which packages of a container name must be installed, hashed and deleted. Pure.
import { copiesOf, type ObservedPackage } from '../../state/observed.ts';
import type { Step, Target, View } from '../controller.ts';

/** Copies a package file from `source` into a repository. */
export interface InstallStep extends Step {
  readonly op: 'install';
  readonly source: string;
  readonly repository: string;
  /** `sha256:<hex>` that the file must have, null = any. */
  readonly digest: string | null;
  /** Exact or a requirement, null = any. */
  readonly version: string | null;
  /** Versions that other entries want absent: what was installed of them would be deleted again. */
  readonly unwanted: readonly string[];
}

/** Finds out which bytes an installed package holds: the document says which it must have. */
export interface DigestStep extends Step {
  readonly op: 'digest';
  readonly id: string;
  readonly path: string;
}

export interface UninstallStep extends Step {
  readonly op: 'uninstall';
  readonly id: string;
  readonly path: string;
}

export type RepositoryStep = InstallStep | DigestStep | UninstallStep;

/** `defaultRepository` is where packages go whose entry names none; null = there is no repository to install into. */
export function planRepositories(view: View, defaultRepository: string | null): RepositoryStep[] {
  if (view.stopping) return [];
  return [
    ...view.targets.flatMap((target) => install(view, target, defaultRepository)),
    ...view.targets.flatMap((target) => digest(view, target)),
    ...staged(view, defaultRepository),
    ...unwanted(view).map((found) => uninstall(view, found)),
  ];
}

function install(view: View, target: Target, defaultRepository: string | null): InstallStep[] {
  const { entry, package: found } = target;
  if (entry.state === 'absent' || entry.source === null || found !== null) return [];
  const repository = entry.repository ?? defaultRepository;
  const waits = repository === null ? 'there is no repository to install into' : null;
  // What the entry was resolved to and has vanished is installed again, and no other version in its place.
  const { source } = entry;
  const { digest } = target;
  const version = target.version ?? entry.version;
  const step = { op: 'install', name: view.name, source, digest, version, waits } as const;
  return [{ ...step, repository: repository ?? '', unwanted: unwantedBeside(view, target) }];
}

/** What is staged is known by its digests before it is in force. What the one in force asks for as well is planned for that. */
function staged(view: View, defaultRepository: string | null): RepositoryStep[] {
  const others = view.staged.filter(
    ({ entry }) => !view.targets.some((target) => target.package === null && target.entry.source === entry.source),
  );
  return [
    ...others.flatMap((target) => install(view, target, defaultRepository)),
    ...view.staged.flatMap(({ entry, package: found }): DigestStep[] => {
      const isKnown = found === null || found.digest !== null || found.signed !== null || entry.state === 'absent';
      const isPlanned = view.targets.some((target) => digest(view, target).some(({ path }) => path === found?.path));
      return isKnown || isPlanned
        ? []
        : [{ op: 'digest', name: view.name, id: found.id, path: found.path, waits: null }];
    }),
  ];
}

function unwantedBeside({ targets }: View, { key }: Target): string[] {
  const others = targets.filter((other) => other.entry.state === 'absent' && other.key !== key);
  return others.flatMap(({ entry }) => entry.version ?? []);
}

/** What an entry was resolved to is compared as well: other bytes under the same version are told, though not refused. */
function digest(view: View, { entry, package: found, digest: locked }: Target): DigestStep[] {
  const asked = entry.digest ?? (found?.signed === null ? locked : null);
  if (asked === null || found === null || found.digest === asked) return [];
  if (entry.digest === null && found.digest !== null) return [];
  const { id, path } = found;
  const waits = found.digest && `${id} in ${found.repository} has ${found.digest}, the document asks for ${asked}`;
  return [{ op: 'digest', name: view.name, id, path, waits }];
}

/**
 * What `absent` entries name: one version, or without a version every one that no other entry names; in one repository, or all.
 * An uninstallation means the version that its entry was resolved to.
 */
function unwanted(view: View): ObservedPackage[] {
  const kept = view.targets.filter(({ entry }) => entry.state !== 'absent');
  const absent = view.targets.filter(({ entry }) => entry.state === 'absent' && (entry.uninstalling || !view.holding));
  if (absent.length === 0) return [];
  const isKept = ({ version, repository }: ObservedPackage, inOne: boolean): boolean =>
    kept.some(
      (each) => each.version === version && (!inOne || (each.package?.repository ?? repository) === repository),
    );
  return view.packages.flatMap(copiesOf).filter((found) =>
    absent.some(({ version, entry }) => {
      if (entry.repository !== null && entry.repository !== found.repository) return false;
      const every = entry.version === null && !entry.uninstalling;
      return (every || version === found.version) && !isKept(found, entry.repository !== null);
    }),
  );
}

/** A file goes last: process, mount, file. */
function uninstall(view: View, { id, path, version, identity }: ObservedPackage): UninstallStep {
  const isElsewhere = view.packages.every((each) => each.path !== path);
  const mount = view.mounts.find((each) => each.id === id);
  // What is mounted and used may be the copy of another repository.
  const isOther =
    mount !== undefined &&
    mount.backing !== null &&
    (mount.backing.dev !== identity.dev || mount.backing.ino !== identity.ino);
  if (isElsewhere && (mount === undefined || isOther))
    return { op: 'uninstall', name: view.name, id, path, waits: null };
  const users = [
    ...view.attempts
      .filter((attempt) => attempt.version === version && attempt.state !== 'exited' && attempt.state !== 'failed')
      .map((attempt) => `attempt ${attempt.id}`),
    ...(view.usedBy.get(version) ?? []),
  ];
  const waits =
    users.length > 0 ? `in use by ${users.join(', ')}` : mount !== undefined ? 'its image is still mounted' : null;
  return { op: 'uninstall', name: view.name, id, path, waits };
}
