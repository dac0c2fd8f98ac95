// Makes fs.img with mksquashfs (4.5.1 or later) or mkfs.erofs (1.5 or later).
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, lstat, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { text } from 'node:stream/consumers';
import type { MountPoint } from './mount-points.ts';

export const compressions = ['none', 'gzip', 'lzo', 'xz', 'zstd', 'lz4'] as const;
export type Compression = (typeof compressions)[number];

export interface ImageOptions {
  /** Its files; null = none. */
  readonly root: string | null;
  readonly uid: number;
  readonly gid: number;
  readonly points: readonly MountPoint[];
  /** Undefined: gzip for squashfs, none for erofs. */
  readonly compression: Compression | undefined;
  /** Of squashfs, in bytes; undefined = 128 KiB. */
  readonly blockSize: number | undefined;
  /** All times in the image, seconds since the epoch. */
  readonly time: number;
  /** A private directory for what is needed on the way. */
  readonly work: string;
}

/** Writes a squashfs image; needs no privileges. Rejects with what mksquashfs says. */
export async function makeSquashfs(image: string, options: ImageOptions): Promise<void> {
  const { root, uid, gid, compression = 'gzip', blockSize, time, work } = options;
  const empty = join(work, 'empty');
  await mkdir(empty);
  const definitions = join(work, 'pseudo');
  const points = await missing(root, options.points);
  await writeFile(definitions, points.map((point) => `${pseudoFile(point, uid, gid)}\n`).join(''));
  const uncompressed = compression === 'none';
  await run('mksquashfs', [
    ...[root ?? empty, image, '-noappend', '-no-progress', '-quiet', '-no-recovery', '-exit-on-error', '-no-xattrs'],
    ...['-force-uid', String(uid), '-force-gid', String(gid), '-mkfs-time', String(time), '-all-time', String(time)],
    ...['-comp', uncompressed ? 'gzip' : compression, ...(uncompressed ? ['-noI', '-noD', '-noF', '-noX'] : [])],
    ...(blockSize === undefined ? [] : ['-b', String(blockSize)]),
    ...(root === null ? ['-root-mode', '755'] : []),
    ...(points.length === 0 ? [] : ['-pf', definitions]),
  ]);
}

/** Writes an erofs image; device nodes need CAP_MKNOD. Rejects with what mkfs.erofs says. */
export async function makeErofs(image: string, options: ImageOptions): Promise<void> {
  const { root, uid, gid, compression = 'none', blockSize, time, work } = options;
  if (blockSize !== undefined) throw new Error('an erofs image has no block size to choose');
  const staging = join(work, 'staging');
  await mkdir(staging);
  await chmod(staging, 0o755);
  if (root !== null) await run('cp', ['-a', '--no-preserve=ownership,xattr,context', `${root}/.`, staging]);
  for (const point of await missing(root, options.points)) await make(staging, point);
  await run('mkfs.erofs', [
    ...['--quiet', '-x-1', `-T${time}`, '-U00000000-0000-0000-0000-000000000000'],
    ...[`--force-uid=${uid}`, `--force-gid=${gid}`, ...(compression === 'none' ? [] : [`-z${compression}`])],
    ...[image, staging],
  ]);
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
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
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

async function make(staging: string, point: MountPoint): Promise<void> {
  const path = join(staging, point.path);
  if (point.type === 'link') return symlink(point.to, path);
  if (point.type === 'directory') await mkdir(path);
  else await run('mknod', [path, 'c', String(point.major), String(point.minor)]);
  await chmod(path, point.mode);
}

/** Runs a program without a shell. Rejects when it is not there, or with its last words when it fails. */
async function run(program: string, args: readonly string[]): Promise<void> {
  // mksquashfs refuses to be told the time both ways.
  const { SOURCE_DATE_EPOCH: _, ...env } = process.env;
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...env, LC_ALL: 'C' } });
  const [out, said] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]).catch(
    (error: unknown) => {
      throw new Error(`${program} cannot be run: is it installed?`, { cause: error });
    },
  );
  const reason = child.signalCode ?? `exit code ${child.exitCode}`;
  if (child.exitCode !== 0) throw new Error(`${program} failed (${reason}): ${(said || out).trim().slice(-2000)}`);
}
