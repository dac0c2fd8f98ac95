// What has failed in a trial and is not to be tried again by itself. Pure but for its file.
import { contentHash } from '../desired.ts';
import type { KeptText } from '../file/kept-text.ts';
import type { Tree } from '../text/tree.ts';
import type { CauseReason } from './trial-record.ts';

/** Raised with every change of its form. */
const form = 1;
/** The oldest go first. */
const most = 500;

export interface Quarantined {
  readonly kind: 'document' | 'package';
  /** `sha256:<hex>`: of a document's tree, or of the package file. */
  readonly digest: string;
  /** Of a package name:version; of a document which generation it was. */
  readonly name: string;
  /** Of a document: what its entries were resolved to, by entry key; null of those whose digest is not known. */
  readonly lock: Readonly<Record<string, string | null>>;
  /** The serial number of the document in which it failed, null = it had none. */
  readonly serial: number | null;
  readonly reason: CauseReason;
  readonly message: string;
  /** ms since the epoch. */
  readonly time: number;
}

/** What a document's tree is known by, whatever the order of its entries. */
export function treeDigest(tree: Tree): string {
  return `sha256:${contentHash(tree)}`;
}

/** Adds to it; what is there already keeps its first reason. */
export function addQuarantine(now: readonly Quarantined[], added: readonly Quarantined[]): readonly Quarantined[] {
  const known = new Set(now.map(({ digest }) => digest));
  const others = added.filter(({ digest }) => !known.has(digest));
  return others.length === 0 ? now : [...now, ...others].slice(-most);
}

/** Whether a package is passed over: by its digest, or as long as that is not known by its name and version. */
export function isQuarantined(
  now: readonly Quarantined[],
  { id, digest }: { readonly id: string; readonly digest: string | null },
): boolean {
  return now.some((each) => each.kind === 'package' && (digest === null ? each.name === id : each.digest === digest));
}

/**
 * Why a document is refused: it is the one that has failed, and would be resolved to the same again; null = it is not. A
 * requirement whose package is in quarantine is resolved to another.
 */
export function refusedDocument(
  now: readonly Quarantined[],
  tree: Tree,
  isExact: (key: string) => boolean,
): Quarantined | null {
  const digest = treeDigest(tree);
  const packages = new Set(now.flatMap((each) => (each.kind === 'package' ? [each.digest] : [])));
  const found = now.find((each) => each.kind === 'document' && each.digest === digest);
  if (found === undefined) return null;
  const isOther = Object.entries(found.lock).some(
    ([key, locked]) => locked !== null && packages.has(locked) && !isExact(key),
  );
  return isOther ? null : found;
}

/** Without what a person releases: a digest, the beginning of one, or a name; null = everything. */
export function release(now: readonly Quarantined[], which: string | null): readonly Quarantined[] {
  const hex = which?.replace(/^sha256:/, '') ?? '';
  const isIt = ({ digest, name }: Quarantined): boolean =>
    which === null || name === which || (/^[0-9a-f]{8,64}$/.test(hex) && digest.startsWith(`sha256:${hex}`));
  return now.filter((each) => !isIt(each));
}

/** Without what a document of a higher serial number names again: itself, and the packages of those digests. */
export function releaseForSerial(
  now: readonly Quarantined[],
  serial: number,
  digests: ReadonlySet<string>,
): readonly Quarantined[] {
  return now.filter((each) => !(digests.has(each.digest) && each.serial !== null && serial > each.serial));
}

/** The lock of a document in quarantine. */
export function lockDigests(
  lock: ReadonlyMap<string, { readonly digest: string | null }>,
): Readonly<Record<string, string | null>> {
  return Object.fromEntries([...lock].map(([key, { digest }]) => [key, digest]));
}

export interface QuarantineFile {
  readonly path: string;
  /** What is kept. Rejects with the errno, or without one when it is not understood. */
  read(): Promise<readonly Quarantined[]>;
  /** Keeps it; on the disk when this resolves. Rejects with the errno. */
  write(all: readonly Quarantined[]): Promise<void>;
}

/** Name of the file in stateDir; a factory reset leaves it. */
export const quarantineName = 'quarantine.json';

export function quarantineFile(kept: KeptText): QuarantineFile {
  return {
    path: kept.path,
    async read() {
      const text = await kept.read();
      if (text === null) return [];
      const found = JSON.parse(text) as { readonly form?: unknown; readonly entries?: Quarantined[] };
      const { entries = [] } = found;
      if (found.form !== form || !Array.isArray(found.entries)) throw new Error('its form is not known');
      return entries;
    },
    write: (entries) => kept.write(JSON.stringify({ form, entries })),
  };
}
