// What a repository is, whatever holds its packages (repository-directory.ts, repository-memory.ts), and how they are read.
import { statSync, type Stats } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { identityOf, sameIdentity } from '../../native/file.ts';
import type { RepositoryEntry } from '../../state/desired.ts';
import type { FileIdentity, ObservedPackage, ObservedRepository } from '../../state/observed.ts';
import { errnoOf, isMissing, messageOf } from '../../state/errno.ts';
import type { PackageCache } from './package-cache.ts';
import { containerId } from '../../state/container-id.ts';

export interface Repository {
  readonly entry: RepositoryEntry;
  /** Looks at every file and reads those that have changed. Gives the names of containers concerned. */
  scan(): Promise<readonly string[]>;
  /** Looks at one file, also when it seems not to have changed: an act was here. */
  look(path: string): Promise<void>;
  packages(): readonly ObservedPackage[];
  observed(): ObservedRepository;
  /** Looks whether its directory is another one now: mounts have changed. */
  follow(): void;
  /** Takes a package in, whole or not at all. Gives it as it is there now. */
  install(incoming: Incoming): Promise<ObservedPackage>;
  /** Deletes a package. One that is gone is no error. */
  remove(path: string): Promise<void>;
  close(): void;
}

/** How far a fetch has come whose bytes cannot be checked one by one, and what it was of. */
export interface FetchProgress {
  readonly validator: string;
  readonly size: number;
  /** Bytes from the start that are on the disk. */
  readonly synced: number;
}

/** The bytes of a package, one after the other. */
export interface Streamed {
  /** Each is valid until the next one is asked for. */
  readonly pieces: AsyncIterable<Uint8Array>;
}

/** The bytes of a package, put into its file in any order; one that is cut short goes on from what it has left there. */
export interface Fetched {
  /** What is fetched: a later attempt with the same name goes on from this one. A name of a container. */
  readonly resumable: string;
  /** The file is open for reading and writing. `keep` notes what can be gone on from, and is waited for. */
  readonly into: (
    file: FileHandle,
    earlier: FetchProgress | null,
    keep: (progress: FetchProgress) => Promise<void>,
  ) => Promise<void>;
}

/** A package on its way into a repository. */
export interface Incoming {
  /** Bytes that it must have, no more and no less. */
  readonly size: number;
  readonly content: Streamed | Fetched;
  /** `sha256:<hex>` that it must have, `any` that is then known, or `unknown`: to find it out costs more than the copy. */
  readonly digest: string;
  /** Looks at the package before anybody else sees it; throws when it must not come in. */
  readonly admit: (content: PackageContent) => void;
  readonly signal: AbortSignal;
}

/** What a reader of package files gives of one. */
export type PackageContent = Pick<
  ObservedPackage,
  'name' | 'version' | 'manifest' | 'defects' | 'health' | 'logs' | 'image' | 'signed'
>;

/** Reads packages; with keys only those that one of them has signed. */
export interface PackageReader {
  /** SHA-256 (hex) of each key; none = nothing is checked. */
  readonly keys: ReadonlySet<string>;
  /** Rejects with the reason why it is no package, or none for this repository. */
  read(path: string): Promise<PackageContent>;
  /** Compares every block of a package's image with what was signed, where there are keys. Rejects with the first wrong one. */
  verify(path: string, content: PackageContent, signal: AbortSignal): Promise<void>;
}

/** Rejects when a key cannot be read, or when others than root may change what must be root's. */
export type OpenReader = (entry: RepositoryEntry) => Promise<PackageReader>;

/** What a file in a repository is. */
export interface PackageFile {
  readonly identity: FileIdentity;
  readonly content: ObservedPackage | { readonly broken: string };
}

/** What a file is: from the cache, or read. One that changes meanwhile is no package. Rejects when it cannot be read now. */
export async function readPackageFile(
  path: string,
  identity: FileIdentity,
  {
    entry,
    reader,
    cache,
  }: { readonly entry: RepositoryEntry; readonly reader: PackageReader; readonly cache: PackageCache },
): Promise<PackageFile> {
  const { id: repository, integrity } = entry;
  const known = cache.find(path, identity);
  const kept = known === null ? null : keptPackage(known, entry, reader);
  if (kept !== null) return kept;
  try {
    const content = await reader.read(path);
    const now = identityOf(statSync(path));
    if (!sameIdentity(now, identity)) return { identity, content: { broken: 'changed while it was being read' } };
    return { identity, content: packageOf(content, { repository, path, identity, digest: null, integrity }) };
  } catch (reason) {
    // An errno tells of the disk or of our limits, not of the file.
    if (errnoOf(reason) !== null && !isMissing(reason)) throw reason;
    return { identity, content: { broken: messageOf(reason).replace(`${path}: `, '') } };
  }
}

/** What was read of a file before, as this repository takes it; null when none of its keys has signed it. */
export function keptPackage(
  known: ObservedPackage,
  { id: repository, integrity }: RepositoryEntry,
  { keys }: PackageReader,
): PackageFile | null {
  if (keys.size > 0 && !keys.has(known.signed?.by ?? '')) return null;
  const signed = keys.size === 0 ? null : known.signed;
  // As it is kept where nothing is different: the cache is not written again for it.
  const isSame = known.repository === repository && known.signed === signed && known.integrity === integrity;
  return { identity: known.identity, content: isSame ? known : { ...known, repository, signed, integrity } };
}

/** A package as it lies in a repository. */
export function packageOf(
  { name, version, manifest, defects, health, logs, image, signed }: PackageContent,
  place: Pick<ObservedPackage, 'repository' | 'path' | 'identity' | 'digest' | 'integrity'>,
): ObservedPackage {
  const { offset, size, type } = image;
  return {
    id: containerId(name, version),
    name,
    version,
    manifest,
    defects,
    ...(health !== undefined && { health }),
    logs,
    image: { offset, size, type },
    signed,
    foreign: null,
    ...place,
  };
}

/**
 * Says who else than root may change a package: its file or the directory that it lies in is not root's alone. Where packages
 * are signed it is not asked.
 */
export function withForeign(
  file: PackageFile,
  keys: ReadonlySet<string>,
  places: readonly (readonly [path: string, stats: Stats])[],
): PackageFile {
  if ('broken' in file.content || keys.size > 0) return file;
  const [why = null] = places.flatMap(([path, { uid, mode }]) => {
    if (uid !== 0) return [`${path} belongs to user ${uid}`];
    return (mode & 0o022) === 0 ? [] : [`${path} is writable by others than root`];
  });
  const foreign = why && `${why}, and the repository has no key: whoever that is commands what runs`;
  return foreign === file.content.foreign ? file : { ...file, content: { ...file.content, foreign } };
}

/** The packages among files. */
export function packagesIn(files: ReadonlyMap<string, PackageFile>): ObservedPackage[] {
  return [...files.values()].map(({ content }) => content).filter((content) => 'id' in content);
}

/** Why a repository, or some of its files, cannot be read. `stale`: that says nothing about what is there. */
export interface ReadTrouble {
  readonly error: string | null;
  readonly stale: boolean;
  /** By path. What was known of such a file counts. */
  readonly unread: ReadonlyMap<string, string>;
}

/** A repository as the status shows it. */
export function describeRepository(
  { id, type, dir, keys, integrity }: RepositoryEntry,
  files: ReadonlyMap<string, PackageFile>,
  { error, stale, unread }: ReadTrouble,
): ObservedRepository {
  const packages = packagesIn(files);
  const broken = [...files]
    .flatMap(([path, { content }]) => ('broken' in content ? [{ path, message: content.broken }] : []))
    .concat([...unread].map(([path, message]) => ({ path, message })))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
  const size = packages.reduce((sum, { identity }) => sum + identity.size, 0);
  const verified = keys.length > 0;
  return { id, type, dir, verified, integrity, packages: packages.length, size, broken, error, stale };
}
