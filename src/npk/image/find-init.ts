// Whether the program that a package starts is in its image, as far as can be told before it is packed.
import { lstat, readlink } from 'node:fs/promises';
import { join, posix } from 'node:path';
import type { Manifest } from '../../../state/schema/manifest.ts';

const MOST_LINKS = 40;

/**
 * What is wrong with a manifest's init in the directory that becomes its image (null: an empty one); null when nothing is, or
 * when it lies below a mount, where nobody can tell. Links are followed within the directory, as the kernel will.
 */
export async function initProblem({ init, mounts }: Manifest, root: string | null): Promise<string | null> {
  if (init === undefined || init.includes('<INIT>')) return null;
  const missing = `${init} is not in ${root ?? 'the image, which holds mount points only'}`;
  const isMounted = (path: string) =>
    [...(mounts?.keys() ?? [])].some((target) => `${path}/`.startsWith(target === '/' ? '/' : `${target}/`));

  let rest = parts(init);
  let path = '/';
  let links = 0;
  for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
    const next = posix.join(path, name);
    if (isMounted(next)) return null;
    const found = root === null ? null : await lookUp(join(root, next));
    if (found === null) return missing;
    if (found.isSymbolicLink()) {
      if (++links > MOST_LINKS) return `${init} leads from link to link without end`;
      const to = await readlink(join(root ?? '', next));
      if (to.startsWith('/')) path = '/';
      rest = [...parts(to), ...rest];
      continue;
    }
    if (rest.length > 0 && !found.isDirectory()) return missing;
    if (rest.length === 0 && (!found.isFile() || (found.mode & 0o111) === 0)) return `${init} is no executable file`;
    path = next;
  }
  return null;
}

function parts(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.');
}

async function lookUp(path: string) {
  return lstat(path).catch((error: unknown) => {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    throw error;
  });
}
