// What persistent data there is that a trial would have kept: measured as it would be copied.
import { closeSync, constants, openSync } from 'node:fs';
import { stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { measureTree, type TreeBounds } from '../../native/tree-copy.ts';
import { isMissing, messageOf } from '../../state/errno.ts';

export interface DataFacts {
  readonly dataDir: string;
  /** The program that measures. */
  readonly program: string;
  readonly bounds: TreeBounds;
}

export async function dataFacts(
  names: ReadonlySet<string>,
  ports: DataFacts,
): Promise<{ readonly data: ReadonlyMap<string, number | string>; readonly freeForData: number | null }> {
  const data = new Map<string, number | string>();
  for (const name of names) data.set(name, await measured(name, ports));
  return { data, freeForData: names.size === 0 ? null : await freeIn(ports.dataDir) };
}

async function measured(name: string, { dataDir, program, bounds }: DataFacts): Promise<number | string> {
  const path = join(dataDir, name);
  try {
    const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants;
    const source = openSync(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    try {
      const [own, parent] = await Promise.all([stat(path), stat(dataDir)]);
      if (own.dev !== parent.dev) return `${path} is a mount of its own`;
      return (await measureTree(program, source, bounds)).bytes;
    } finally {
      closeSync(source);
    }
  } catch (error) {
    return isMissing(error) ? 0 : messageOf(error);
  }
}

/** BTRFS_SUPER_MAGIC: there a copy shares its blocks (ioctl_ficlone(2)), and takes next to nothing. */
const btrfs = 0x9123683e;

async function freeIn(directory: string): Promise<number | null> {
  try {
    const { bavail, bsize, type } = await statfs(directory);
    return type === btrfs ? null : bavail * bsize;
  } catch {
    return null; // it cannot be told
  }
}
