// Packing: a manifest and a directory become a package.
import { randomUUID } from 'node:crypto';
import { mkdtemp, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import type { Manifest } from '../../state/manifest.ts';
import { PackageError } from './error.ts';
import { FORMAT_VERSION } from './format.ts';
import { makeErofs, makeSquashfs, type Compression } from './make-image.ts';
import { readManifest } from './manifest.ts';
import { manifestYaml } from './manifest-yaml.ts';
import { mountPoints } from './mount-points.ts';
import { IMAGE_ALIGNMENT, readPackage } from './package.ts';
import { writeArchive } from './zip-writer.ts';

export interface PackOptions {
  /** The manifest's file: YAML, JSON or TOML. */
  readonly manifest: string;
  /** The directory that becomes the image; null or left out = an empty one. */
  readonly root?: string | null | undefined;
  /** A directory, which gets NAME-VERSION.npk, or the file to write. */
  readonly out: string;
  readonly fs?: 'squashfs' | 'erofs' | undefined;
  /** Default: gzip for squashfs, none for erofs. */
  readonly compression?: Compression | undefined;
  /** Of squashfs, in bytes. */
  readonly blockSize?: number | undefined;
}

export interface Packed {
  readonly path: string;
  readonly name: string;
  readonly version: string;
  /** What of the older dialect the manifest used; the package is written in today's. */
  readonly deprecations: readonly string[];
}

/**
 * Makes an unsigned package. The same input gives the same bytes: all times are SOURCE_DATE_EPOCH, else 0. The file
 * appears when it is complete. Rejects with a PackageError for a bad manifest, else with what failed.
 */
export async function pack({ manifest: source, root = null, out, ...how }: PackOptions): Promise<Packed> {
  const { manifest, deprecations } = await readSource(source);
  const path = await outputFile(out, manifest);
  const work = await mkdtemp(join(tmpdir(), 'northstate-pack-'));
  try {
    const image = join(work, 'fs.img');
    const { uid, gid } = manifest;
    const make = how.fs === 'erofs' ? makeErofs : makeSquashfs;
    const { compression, blockSize } = how;
    await make(image, {
      root,
      uid,
      gid,
      points: mountPoints(manifest),
      compression,
      blockSize,
      time: sourceDate(),
      work,
    });
    await writePackage(path, manifestYaml(manifest), image);
    return { path, name: manifest.name, version: manifest.version, deprecations };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function readSource(path: string): Promise<Awaited<ReturnType<typeof readManifest>>> {
  const bytes = await readFile(path);
  try {
    return await readManifest(bytes, { old: false });
  } catch (error) {
    if (!(error instanceof PackageError)) throw error;
    throw new PackageError(error.reason, error.message.replace(/^manifest\.yaml/, path), { cause: error });
  }
}

async function outputFile(out: string, { name, version }: Manifest): Promise<string> {
  const directory = await stat(out).then(
    (found) => found.isDirectory(),
    () => out.endsWith('/'),
  );
  return directory ? join(out, `${name}-${version}.npk`) : out;
}

/** Seconds since the epoch (https://reproducible-builds.org/specs/source-date-epoch/). */
function sourceDate(): number {
  const given = process.env['SOURCE_DATE_EPOCH'] ?? '0';
  const time = Number(given);
  if (!/^\d+$/.test(given) || time > 0xffffffff)
    throw new Error(`SOURCE_DATE_EPOCH is "${given}": expected seconds since the epoch`);
  return time;
}

/** Writes beside the target, reads it back as any reader would, and renames. */
async function writePackage(path: string, manifest: string, image: string): Promise<void> {
  const partial = join(dirname(path), `.${basename(path)}.${randomUUID()}`);
  try {
    await writeEntries(partial, manifest, image);
    await readPackage(partial);
    await rename(partial, path);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}

async function writeEntries(path: string, manifest: string, image: string): Promise<void> {
  await using input = await open(image, 'r');
  await using output = await open(path, 'wx', 0o644);
  const { size } = await input.stat();
  await writeArchive(
    output,
    [
      { name: 'manifest.yaml', source: { bytes: Buffer.from(manifest) }, alignment: 1 },
      { name: 'fs.img', source: { handle: input, size }, alignment: IMAGE_ALIGNMENT },
    ],
    `version: ${FORMAT_VERSION}\n`,
  );
  await output.sync();
}
