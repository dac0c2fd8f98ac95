// Makes fs.img with mksquashfs (4.5.1 or later) or mkfs.erofs (1.5 or later). Neither needs privileges.
import { chmod, lstat, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { makeDeviceNodes } from './erofs-nodes.ts';
import type { MountPoint } from './mount-points.ts';
import { runTool } from './tool.ts';
import { hasErrno } from '../../../state/errno.ts';

export const compressions = ['none', 'gzip', 'lzo', 'xz', 'zstd', 'lz4'] as const;
export type Compression = (typeof compressions)[number];

/** What mkfs.erofs calls them. */
const erofsNames: Readonly<Record<Compression, string | null>> = {
  none: null,
  gzip: 'deflate',
  lzo: 'lzo',
  xz: 'lzma',
  zstd: 'zstd',
  lz4: 'lz4',
};

export interface ImageOptions {
  /** Its files, as an absolute path; null = none. */
  readonly root: string | null;
  readonly uid: number;
  readonly gid: number;
  readonly points: readonly MountPoint[];
  /** Undefined: gzip for squashfs, none for erofs. */
  readonly compression: Compression | undefined;
  /** Of squashfs, in bytes; undefined = 128 KiB. */
  readonly blockSize: number | undefined;
  /** Of erofs: the end of each file has a block of its own, so that an update finds the blocks that did not change. */
  readonly aligned: boolean | undefined;
  /** All times in the image, seconds since the epoch. */
  readonly time: number;
  /** Of the file system, where it has one. */
  readonly uuid: string;
  /** A private directory for what is needed on the way. */
  readonly work: string;
  /** The program that makes it; undefined = mksquashfs or mkfs.erofs in the path. */
  readonly tool: string | undefined;
  /** Called with the part that is done, 0 to 1, as far as the program tells. */
  readonly onProgress?: ((part: number) => void) | undefined;
}

/** Writes a squashfs image. Rejects with what mksquashfs says. */
export async function makeSquashfs(image: string, options: ImageOptions): Promise<void> {
  const { root, uid, gid, compression = 'gzip', blockSize, aligned = false, time, work, onProgress } = options;
  if (aligned) throw new Error('only an erofs image can be aligned');
  const empty = join(work, 'empty');
  await mkdir(empty);
  const definitions = join(work, 'pseudo');
  const points = await missing(root, options.points);
  await writeFile(definitions, points.map((point) => `${pseudoFile(point, uid, gid)}\n`).join(''));
  const uncompressed = compression === 'none';
  const args = [
    ...[root ?? empty, image, '-noappend', '-progress', '-quiet', '-no-recovery', '-exit-on-error', '-no-xattrs'],
    ...['-force-uid', String(uid), '-force-gid', String(gid), '-mkfs-time', String(time), '-all-time', String(time)],
    ...['-comp', uncompressed ? 'gzip' : compression, ...(uncompressed ? ['-noI', '-noD', '-noF', '-noX'] : [])],
    ...(blockSize === undefined ? [] : ['-b', String(blockSize)]),
    ...(root === null ? ['-root-mode', '755'] : []),
    ...(points.length === 0 ? [] : ['-pf', definitions]),
  ];
  const onOutput = (text: string): void => {
    const percent = text.match(/\d+(?=%)/g)?.at(-1);
    if (percent !== undefined) onProgress?.(Number(percent) / 100);
  };
  await runTool(options.tool ?? 'mksquashfs', args, { onOutput });
}

/** Writes an erofs image. Rejects with what mkfs.erofs says. */
export async function makeErofs(image: string, options: ImageOptions): Promise<void> {
  const {
    root,
    uid,
    gid,
    compression = 'none',
    blockSize,
    aligned = false,
    time,
    work,
    uuid,
    tool = 'mkfs.erofs',
  } = options;
  if (blockSize !== undefined) throw new Error('an erofs image has no block size to choose');
  const compressor = erofsNames[compression];
  if (compressor !== null) await offers(tool, compressor);
  const staging = join(work, 'staging');
  await mkdir(staging);
  await chmod(staging, 0o755);
  if (root !== null) await runTool('cp', ['-a', '--no-preserve=ownership,xattr,context', `${root}/.`, staging]);
  const points = await missing(root, options.points);
  for (const point of points) await make(staging, point);
  await runTool(tool, [
    ...['--quiet', '-x-1', `-T${time}`, `-U${uuid}`, `--force-uid=${uid}`, `--force-gid=${gid}`],
    ...(compressor === null ? [] : [`-z${compressor}`]),
    ...(aligned ? ['-Enoinline_data'] : []),
    ...[image, staging],
  ]);
  const devices = points.filter((point) => point.type === 'device');
  if (devices.length > 0) await makeDeviceNodes(image, devices);
}

/** Rejects when the program was built without a compressor. */
async function offers(tool: string, compressor: string): Promise<void> {
  const { stdout, stderr } = await runTool(tool, ['--help']);
  const list = /^Available compressors are: (.*)$/m.exec(stdout + stderr)?.[1];
  if (list === undefined || list.split(', ').includes(compressor)) return;
  throw new Error(`${tool} offers no compression ${compressor}, only: ${list}`);
}

/** What the root directory lacks. A path that leads through something else than directories is an error. */
async function missing(root: string | null, points: readonly MountPoint[]): Promise<MountPoint[]> {
  if (root === null) return [...points];
  const found: MountPoint[] = [];
  for (const point of points) {
    const parent = posix.dirname(point.path);
    const above = await typeOf(join(root, parent));
    if (above !== null && above !== 'directory')
      throw new Error(`${parent} in ${root} is no directory, but ${point.path} is needed in it`);
    if ((await typeOf(join(root, point.path))) === null) found.push(point);
  }
  return found;
}

async function typeOf(path: string): Promise<'directory' | 'other' | null> {
  try {
    return (await lstat(path)).isDirectory() ? 'directory' : 'other';
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return null;
    throw error;
  }
}

/** A line of mksquashfs's pseudo-file definitions. */
function pseudoFile(point: MountPoint, uid: number, gid: number): string {
  if (/[\n\r]/.test(point.path))
    throw new Error(`${JSON.stringify(point.path)} cannot be made: its name has a line break`);
  const path = point.path.slice(1).replace(/[^\w./-]/g, '\\$&');
  const owner = `${uid} ${gid}`;
  if (point.type === 'link') return `${path} s 777 ${owner} ${point.to}`;
  const mode = point.mode.toString(8);
  return point.type === 'directory'
    ? `${path} d ${mode} ${owner}`
    : `${path} c ${mode} ${owner} ${point.major} ${point.minor}`;
}

/** Device nodes are empty files until they are in the image. */
async function make(staging: string, point: MountPoint): Promise<void> {
  const path = join(staging, point.path);
  if (point.type === 'link') return symlink(point.to, path);
  if (point.type === 'directory') await mkdir(path);
  else await writeFile(path, '');
  await chmod(path, point.mode);
}
