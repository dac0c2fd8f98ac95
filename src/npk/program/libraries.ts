// Which shared libraries a program needs that its container does not have, found the way its loader would (ld.so(8),
// musl's dynlink.c): libraries of libraries, too.
import { open, readFile } from 'node:fs/promises';
import { posix } from 'node:path';
import type { Manifest } from '../../../state/schema/manifest.ts';
import type { Architecture } from './architecture.ts';
import type { ContainerFiles } from './container-path.ts';
import { readElf, type Elf } from './elf.ts';

export interface MissingLibrary {
  readonly name: string;
  /** The file that asks for it, as a path of the container. */
  readonly neededBy: string;
  /** Of one that is there, but made for another processor. */
  readonly architecture: string | null;
}

export interface Program {
  /** Its path in the container, without links. */
  readonly at: string;
  readonly elf: Elf;
  readonly architecture: Architecture | null;
}

const MOST_LIBRARIES = 2000;
const LARGEST_CACHE = 4 * 1024 * 1024;

/** Names that musl's loader has in itself. */
const inMusl = /^lib(?:c|pthread|rt|m|dl|util|xnet)\./;

/** Whether a loader is musl's. */
export function isMuslLoader(path: string): boolean {
  return posix.basename(path).startsWith('ld-musl-');
}

/** The libraries that nothing in the container gives. What lies in a bind or a resource is taken to be there. */
export async function missingLibraries(
  files: ContainerFiles,
  manifest: Manifest,
  program: Program,
): Promise<MissingLibrary[]> {
  const isMusl = isMuslLoader(program.elf.interpreter ?? '');
  const last = await usualDirectories(files, program, isMusl);
  const first = (manifest.env?.get('LD_LIBRARY_PATH') ?? '').split(/[:;]/).filter((directory) => directory !== '');
  const missing: MissingLibrary[] = [];
  // The loader is a library, too, which is there when it looks for others.
  const seen = new Set([posix.basename(program.elf.interpreter ?? '')]);
  const waiting: Pick<Program, 'at' | 'elf'>[] = [program];
  for (let user = waiting.shift(); user !== undefined; user = waiting.shift()) {
    const { at, elf } = user;
    const origin = (directory: string): string => directory.replaceAll(/\$(?:ORIGIN|\{ORIGIN\})/g, posix.dirname(at));
    // A path of the program's own counts for what its libraries need as well.
    const own = [...elf.rpath, ...elf.runpath].map(origin);
    const inherited = program.elf.rpath.map((directory) => directory.replaceAll('$ORIGIN', posix.dirname(program.at)));
    for (const name of elf.needed) {
      if (seen.has(name) || (isMusl && inMusl.test(name))) continue;
      if (seen.size >= MOST_LIBRARIES) return missing;
      seen.add(name);
      const found = await search(files, name, [...own, ...inherited, ...first, ...last], program.elf.architecture);
      if (found.kind === 'library') waiting.push(found);
      else if (found.kind === 'missing') missing.push({ name, neededBy: at, architecture: found.architecture });
    }
  }
  return missing;
}

type Found =
  | { readonly kind: 'library'; readonly at: string; readonly elf: Elf }
  | { readonly kind: 'mounted' }
  | { readonly kind: 'missing'; readonly architecture: string | null };

async function search(
  files: ContainerFiles,
  name: string,
  directories: readonly string[],
  wanted: string,
): Promise<Found> {
  let isMounted = false;
  let architecture: string | null = null;
  const paths = name.includes('/') ? [name] : directories.map((directory) => posix.join(directory, name));
  for (const path of paths) {
    const place = await files.find(path);
    if (place.kind === 'mounted') isMounted = true;
    if (place.kind !== 'image' || !place.stats.isFile()) continue;
    await using file = await open(place.path);
    const elf = await readElf(file);
    if (elf?.architecture === wanted) return { kind: 'library', at: place.at, elf };
    architecture ??= elf?.architecture ?? null;
  }
  return isMounted ? { kind: 'mounted' } : { kind: 'missing', architecture };
}

/** Where a loader looks when nothing names a directory. */
async function usualDirectories(
  files: ContainerFiles,
  { architecture, elf }: Program,
  isMusl: boolean,
): Promise<string[]> {
  if (isMusl) {
    const configured = await contentOf(files, `/etc/ld-musl-${elf.architecture}.path`);
    return configured?.toString('utf8').split(/[:\n]/).filter(Boolean) ?? ['/lib', '/usr/local/lib', '/usr/lib'];
  }
  const multiarch =
    architecture === null ? [] : [`/lib/${architecture.multiarch}`, `/usr/lib/${architecture.multiarch}`];
  const wide = architecture?.bits === 64 ? ['/lib64', '/usr/lib64'] : [];
  return [...(await cachedDirectories(files)), ...multiarch, ...wide, '/lib', '/usr/lib'];
}

/** The directories in ldconfig's cache, where the image has one: it is a table whose texts are paths of libraries. */
async function cachedDirectories(files: ContainerFiles): Promise<string[]> {
  const cache = await contentOf(files, '/etc/ld.so.cache');
  const texts = cache?.toString('latin1').split('\0') ?? [];
  const paths = texts.filter((text) => /^\/[\x21-\x7e]{1,4095}$/.test(text));
  return [...new Set(paths.map((path) => posix.dirname(path)))];
}

async function contentOf(files: ContainerFiles, path: string): Promise<Buffer | null> {
  const place = await files.find(path);
  if (place.kind !== 'image' || !place.stats.isFile() || place.stats.size > LARGEST_CACHE) return null;
  return await readFile(place.path);
}
