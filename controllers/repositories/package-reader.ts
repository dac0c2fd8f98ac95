// How the controllers read and check packages. Loaded when it is needed for the first time: after a restart the packages are
// known (packages.json), and where no repository has a key nothing is ever checked.
import type { FileHandle } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { openRegular } from '../../native/file.ts';
import type { OpenReader } from './repository.ts';
import type { HashTree } from '../../state/observed.ts';
import type { Hasher } from '../../src/npk/image/hasher.ts';
import { checkTrusted } from '../../state/file/trust.ts';
import type { VerifyImage } from '../mounts/mounts-plan.ts';

export interface Packages {
  readonly openReader: OpenReader;
  readonly verifyImage: VerifyImage;
}

/** One for the whole program: all checks share their threads. */
export function createPackages(): Packages {
  let hasher: Hasher | null = null;

  async function verifyImage(
    file: FileHandle,
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
    if (files.length === 0) return { keys: new Set(), read: (path) => read(path, null), verify: async () => undefined };
    for (const path of [...files, ...(dir === null ? [] : [dir])]) await checkTrusted(path, process.getuid?.() ?? 0);
    const { readKeys } = await import('../../src/npk/signature/keys.ts');
    const keys = (await Promise.all(files.map((path) => readKeys(path)))).flat();
    return {
      keys: new Set(keys.map(({ id }) => id)),
      read: (path) => read(path, keys),
      async verify(path, { image, signed }, signal) {
        await using file = await openRegular(path);
        if (signed !== null) await verifyImage(file, image, signed.tree, signal);
      },
    };
  };

  return { openReader, verifyImage };
}

type Keys = Awaited<ReturnType<typeof import('../../src/npk/signature/keys.ts').readKeys>>;

async function read(path: string, keys: Keys | null) {
  const { readPackage } = await import('../../src/npk/open-package.ts');
  const { ownHealth } = await import('../../state/schema/health-schema.ts');
  const { name, version, manifest, defects, logs, image, verified } = await readPackage(path, { keys });
  const own = ownHealth(manifest.custom);
  return {
    name,
    version,
    manifest,
    defects: own !== null && 'problem' in own ? [...defects, own.problem] : defects,
    ...(own !== null && 'health' in own && { health: own.health }),
    logs,
    image,
    signed: verified && { by: verified.key.id, tree: verified.tree },
  };
}
