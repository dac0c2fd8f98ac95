// How the controllers read and check packages. Loaded when it is needed for the first time: after a restart the packages are
// known (packages.json), and where no repository has a key nothing is ever checked.
import { constants } from 'node:fs';
import { availableParallelism } from 'node:os';
import { openRegular } from '../../native/file.ts';
import type { PackageContents } from './package-contents.ts';
import type { OpenReader, PackageContent } from './repository.ts';
import type { HashTree } from '../../state/observed.ts';
import { fileBytes, type FileBytes, type Source } from '../../src/npk/archive/bytes.ts';
import type { Hasher } from '../../src/npk/image/hasher.ts';
import { named, PackageError } from '../../src/npk/package-error.ts';
import type { PublicKey } from '../../src/npk/signature/keys.ts';
import { openFile } from '../../state/file/in-place.ts';
import { checkTrusted } from '../../state/file/trust.ts';
import type { VerifyImage } from '../mounts/mounts-plan.ts';

export interface Packages {
  readonly openReader: OpenReader;
  readonly verifyImage: VerifyImage;
}

/** One for the whole program: all checks share their threads. `contents`: what earlier boots have read. */
export function createPackages(contents: PackageContents | null = null): Packages {
  let hasher: Hasher | null = null;

  async function verifyImage(
    file: Source & { readonly fd: number },
    image: { readonly offset: number },
    tree: HashTree,
    signal: AbortSignal,
  ): Promise<void> {
    const npk = await import('../../src/npk/image/verify-image.ts');
    hasher ??= (await import('../../src/npk/image/hasher.ts')).createHasher(availableParallelism());
    await npk.verifyImage(file, image, tree, { hasher, signal });
  }

  /** Whoever may write to a key or to the directory decides what root runs: both must be root's. */
  const openReader: OpenReader = async ({ keys: files, dir }) => {
    if (files.length === 0)
      return { keys: new Set(), read: (path) => read(path, null, contents), verify: async () => undefined };
    for (const path of [...files, ...(dir === null ? [] : [dir])]) await checkTrusted(path, process.getuid?.() ?? 0);
    const { readKeys } = await import('../../src/npk/signature/keys.ts');
    const keys = (await Promise.all(files.map((path) => readKeys(path)))).flat();
    return {
      keys: new Set(keys.map(({ id }) => id)),
      read: (path) => read(path, keys, contents),
      async verify(path, { image, signed }, signal) {
        await using file = await openRegular(path);
        if (signed !== null) await verifyImage(file, image, signed.tree, signal);
      },
    };
  };

  return { openReader, verifyImage };
}

// A FIFO or a device that somebody put in a repository must not block or act when it is opened.
const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;

async function read(
  path: string,
  keys: readonly PublicKey[] | null,
  contents: PackageContents | null,
): Promise<PackageContent> {
  try {
    const file = await openFile(path, flags);
    try {
      const stat = await file.stat();
      if (!stat.isFile()) throw new PackageError('file', 'it is no regular file');
      const bytes = fileBytes(file, Number(stat.size));
      const known = await contents?.find(bytes, new Set(keys?.map(({ id }) => id)));
      if (known) return known;
      const content = await readAnew(bytes, keys);
      contents?.add(bytes, content);
      return content;
    } finally {
      await file.close();
    }
  } catch (error) {
    throw named(path, error);
  }
}

async function readAnew(bytes: FileBytes, keys: readonly PublicKey[] | null): Promise<PackageContent> {
  const { readContent } = await import('../../src/npk/open-package.ts');
  const { ownHealth } = await import('../../state/schema/health-schema.ts');
  const { manifest, image, verified } = await readContent(bytes, keys);
  const { read: said, defects, logs } = manifest;
  const own = ownHealth(said.custom);
  return {
    name: said.name,
    version: said.version,
    manifest: said,
    defects: own !== null && 'problem' in own ? [...defects, own.problem] : defects,
    ...(own !== null && 'health' in own && { health: own.health }),
    logs,
    image,
    signed: verified && { by: verified.key.id, tree: verified.tree },
  };
}
