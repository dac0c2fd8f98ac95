// Where a path of a container leads, judged while its package is made: into the directory that becomes the image, or into
// something that the manifest mounts over it, which only the device knows.
import type { Stats } from 'node:fs';
import { lstat, readlink } from 'node:fs/promises';
import { join, posix } from 'node:path';
import type { Manifest, Mount } from '../../../state/schema/manifest.ts';
import { hasErrno } from '../../../state/errno.ts';

export type Place =
  /** A file or a directory of the image: `at` is its path in the container without links, `path` where it is now. */
  | { readonly kind: 'image'; readonly at: string; readonly path: string; readonly stats: Stats }
  /** In a bind or a resource: what is there is not known here. */
  | { readonly kind: 'mounted'; readonly target: string; readonly mount: Mount }
  /** Below a mount that has nothing of the image and no programs: tmpfs, persist, proc, sysfs, sockets, dev. */
  | { readonly kind: 'covered'; readonly target: string; readonly mount: Mount }
  | { readonly kind: 'missing'; readonly at: string }
  /** From link to link without end. */
  | { readonly kind: 'circle' };

/** As the kernel has it, path_resolution(7). */
const MOST_LINKS = 40;

export interface ContainerFiles {
  /** Where an absolute path leads. Rejects when the directory cannot be read. */
  readonly find: (path: string) => Promise<Place>;
}

/** The files that a container sees which is made of `root` (null: mount points only) and the mounts of a manifest. */
export function containerFiles({ mounts }: Manifest, root: string | null): ContainerFiles {
  const mountAt = (at: string): Place | null => {
    const mount = mounts?.get(at);
    if (mount === undefined) return null;
    const isKnown = mount.type !== 'bind' && mount.type !== 'resource';
    return { kind: isKnown ? 'covered' : 'mounted', target: at, mount };
  };

  return {
    async find(path) {
      const top = mountAt('/');
      if (top !== null) return top;
      let at = '/';
      let links = 0;
      const rest = path.split('/').filter((name) => name !== '' && name !== '.');
      for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
        const next = name === '..' ? posix.dirname(at) : posix.join(at, name);
        const mounted = mountAt(next);
        if (mounted !== null) return mounted;
        const stats = root === null ? null : await statsOf(join(root, next));
        if (stats?.isSymbolicLink() === true) {
          if (++links > MOST_LINKS) return { kind: 'circle' };
          const to = await readlink(join(root ?? '', next));
          if (to.startsWith('/')) at = '/';
          rest.unshift(...to.split('/').filter((each) => each !== '' && each !== '.'));
          continue;
        }
        // On the way to a mount everything is made while packing.
        const isOnTheWay = [...(mounts?.keys() ?? [])].some((target) => target.startsWith(`${next}/`));
        if (stats === null && !isOnTheWay) return { kind: 'missing', at: posix.join(next, ...rest) };
        if (stats !== null && !stats.isDirectory() && rest.length > 0)
          return { kind: 'missing', at: posix.join(next, ...rest) };
        at = next;
      }
      const stats = root === null ? null : await statsOf(join(root, at));
      return stats === null ? { kind: 'missing', at } : { kind: 'image', at, path: join(root ?? '', at), stats };
    },
  };
}

async function statsOf(path: string): Promise<Stats | null> {
  try {
    return await lstat(path);
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR')) return null;
    throw error;
  }
}
