// What a manifest's mounts need in the image: directories to mount on and, for `dev`, the nodes themselves.
import { posix } from 'node:path';
import type { Manifest, Mount } from '../../../state/schema/manifest.ts';
import { deviceLinks, deviceNodes } from '../../../state/names.ts';

/** Something that the image must have, unless the root directory has it already. */
export type MountPoint = { readonly path: string } & (
  | { readonly type: 'directory'; readonly mode: number }
  | { readonly type: 'device'; readonly mode: number; readonly major: number; readonly minor: number }
  | { readonly type: 'link'; readonly to: string }
);

/** Mount points and device nodes of a manifest, every directory before what is in it. */
export function mountPoints({ mounts = new Map<string, Mount>() }: Manifest): MountPoint[] {
  const targets = [...mounts].sort(([a], [b]) => (a < b ? -1 : 1));
  const points = new Map<string, MountPoint>();
  for (const [path, mount] of targets) {
    const mode = modeOf(mount);
    // A directory that cannot be searched would hide what is mounted below it.
    for (const parent of parentsOf(path)) add(points, { path: parent, type: 'directory', mode: mode | 0o111 });
    points.set(path, { path, type: 'directory', mode });
    if (mount.type === 'dev') addNodes(points, path, mounts.get('/proc')?.type === 'proc');
  }
  points.delete('/');
  return [...points.values()];
}

function modeOf(mount: Mount): number {
  switch (mount.type) {
    case 'bind':
      return mount.options?.includes('rw') === true ? 0o755 : 0o555;
    case 'resource':
      return 0o555;
    case 'proc':
    case 'sysfs':
      return 0o444;
    default:
      return 0o755;
  }
}

function parentsOf(path: string): string[] {
  const parent = posix.dirname(path);
  return parent === '/' ? [] : [...parentsOf(parent), parent];
}

function addNodes(points: Map<string, MountPoint>, dev: string, withLinks: boolean): void {
  for (const [name, major, minor] of deviceNodes) {
    const path = posix.join(dev, name);
    add(points, { path, type: 'device', mode: 0o666, major, minor });
  }
  for (const [name, to] of withLinks ? deviceLinks : []) add(points, { path: posix.join(dev, name), type: 'link', to });
}

function add(points: Map<string, MountPoint>, point: MountPoint): void {
  if (!points.has(point.path)) points.set(point.path, point);
}
