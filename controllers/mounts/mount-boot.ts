// An image as the boot player mounts it: by what image-devices.ts and mounts-act.ts would do.
import { realpathSync, statSync } from 'node:fs';
import type { Deed } from '../../native/wire/boot-plan.ts';
import { imageFlags, imageOptions } from '../../native/mount.ts';
import type { FileIdentity } from '../../state/observed.ts';
import { markOf, prefixOf } from './image-devices.ts';
import type { Image } from './mounts-plan.ts';

const [file, loop, mapped] = [0, 1, 2] as const;

/** `target` is where, `directory` where all of them are. Null: this image must be checked as a whole, or has changed. */
export function bootImage(image: Image, target: string, directory: string): Deed[] | null {
  const { tree, integrity, offset } = image;
  const opened = fileDeed(image);
  if (opened === null || integrity === 'full-check') return null;
  const mark = markOf(realpathSync(image.path), image.identity);
  const attach: Deed = { deed: 'attach', slot: loop, from: file, offset, size: image.size, mark };
  const verity: Deed[] =
    tree === null || integrity === 'none'
      ? []
      : [
          {
            ...{ deed: 'map', slot: mapped, from: loop, prefix: prefixOf(directory) },
            ...{ blocks: tree.dataBlocks, tree: tree.treeOffset / 4096, rootHash: tree.rootHash, salt: tree.salt },
          },
        ];
  const mount: Deed = {
    ...{ deed: 'mount', from: verity.length === 0 ? loop : mapped, path: target, type: image.type },
    ...{ flags: imageFlags(image.devices), options: imageOptions(image.context) ?? '' },
  };
  return [opened, attach, ...verity, mount];
}

/** With what no float holds exactly. Null when it is not the file that was read any more. */
function fileDeed({ path, identity }: Image): Deed | null {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  if (found === undefined || !isSame(found, identity)) return null;
  const { dev, ino, size, uid, mode, ctimeNs } = found;
  const [seconds, nanoseconds] = [ctimeNs / billion, ctimeNs % billion];
  return { deed: 'file', slot: file, path, device: dev, inode: ino, size, seconds, nanoseconds, owner: uid, mode };
}

const billion = 1_000_000_000n;

function isSame(
  now: { readonly dev: bigint; readonly ino: bigint; readonly size: bigint; readonly ctimeMs: bigint },
  then: FileIdentity,
): boolean {
  const same = Number(now.dev) === then.dev && Number(now.ino) === then.ino && Number(now.size) === then.size;
  return same && Number(now.ctimeMs) === Math.floor(then.ctimeMs);
}
