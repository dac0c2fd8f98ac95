// Whether what a manifest names as its init can be started at all, told while its package is made: on the device it would
// only be an exec that fails.
import { existsSync } from 'node:fs';
import { open, readdir } from 'node:fs/promises';
import { join, posix } from 'node:path';
import type { Manifest } from '../../../state/schema/manifest.ts';
import { hostArchitecture, architectureNamed, type Architecture } from './architecture.ts';
import { containerFiles, type ContainerFiles, type Place } from './container-path.ts';
import { readElf, type Elf } from './elf.ts';
import { isMuslLoader, missingLibraries, type MissingLibrary } from './libraries.ts';
import { LONGEST_LINE, pathsOf, readScript, type Script } from './script.ts';
import { messageOf } from '../../../state/errno.ts';

export interface InitOptions {
  /** The directory that becomes the image; null = mount points only. */
  readonly root: string | null;
  /** What its owner calls it, for messages; `root` may be a copy. */
  readonly source?: string | null;
  /** What the device has; null = not looked at. */
  readonly architecture: Architecture | null;
}

/** The kernel follows so many interpreters that are scripts themselves. */
const MOST_INTERPRETERS = 5;

/**
 * What keeps the init of a manifest from being started, in sentences that say what to do: it is missing, not executable, of
 * another architecture, or lacks its interpreter, its loader or its libraries. Empty when all is there, or when only the
 * device can tell, since a bind or a resource gives it.
 */
export async function initProblems(manifest: Manifest, options: InitOptions): Promise<string[]> {
  const { init } = manifest;
  // What stands in pointed brackets is replaced at the start.
  if (init === undefined || init.includes('<INIT>')) return [];
  return programProblems({ ...options, manifest, files: containerFiles(manifest, options.root) }, init, '', 0);
}

interface Context extends InitOptions {
  readonly manifest: Manifest;
  readonly files: ContainerFiles;
}

/** The same for any program; `role` says what it is to which. */
async function programProblems(context: Context, path: string, role: string, depth: number): Promise<string[]> {
  const place = await context.files.find(path);
  const subject = `${role}${path}`;
  const wrong = await placeProblem(context, place, subject, path);
  if (wrong !== null) return [wrong];
  if (place.kind !== 'image') return [];
  try {
    await using file = await open(place.path);
    const bytes = Buffer.alloc(LONGEST_LINE + 1);
    const { bytesRead } = await file.read(bytes, 0, bytes.length, 0);
    const script = readScript(bytes.subarray(0, bytesRead));
    if (script !== null) return await scriptProblems(context, script, place, subject, depth);
    const elf = await readElf(file);
    if (elf === null) return [`${subject} is neither a program (ELF) nor a script (#!)`];
    return await elfProblems(context, elf, place.at, subject);
  } catch (error) {
    return [`${subject} ${messageOf(error)}`];
  }
}

async function placeProblem(
  { root, source = root }: Context,
  place: Place,
  subject: string,
  path: string,
): Promise<string | null> {
  switch (place.kind) {
    case 'mounted': {
      const options = 'options' in place.mount ? (place.mount.options ?? []) : [];
      return options.includes('noexec') ? `${subject} lies in the mount ${place.target}, which is noexec` : null;
    }
    case 'covered':
      return `${subject} lies in the mount ${place.target}, a ${place.mount.type} that holds no programs`;
    case 'missing': {
      const where = root === null ? 'there is no root directory' : `it is not in ${source ?? 'what was added'}`;
      return `${subject} is missing: ${where}, and no mount brings it${place.at === path ? '' : ` (${place.at} is not there)`}`;
    }
    case 'circle':
      return `${subject} leads from link to link without end`;
    case 'image':
      if (!place.stats.isFile()) return `${subject} is no file`;
      // In the image every file belongs to the user of the manifest.
      return (place.stats.mode & 0o100) === 0 ? `${subject} is not executable: chmod +x it` : null;
  }
}

async function scriptProblems(
  context: Context,
  { interpreter, program }: Script,
  place: Place & { kind: 'image' },
  subject: string,
  depth: number,
): Promise<string[]> {
  if ((place.stats.mode & 0o400) === 0) return [`${subject} is a script that its user may not read: chmod u+r it`];
  if (depth >= MOST_INTERPRETERS)
    return [`${subject} has an interpreter that is a script, and so on: too many of them`];
  const problems = await programProblems(context, interpreter, `${subject}: its interpreter `, depth + 1);
  if (program === null || problems.length > 0) return problems;
  const places = await Promise.all(pathsOf(program, context.manifest).map(context.files.find));
  const found = places.find(({ kind }) => kind === 'image' || kind === 'mounted');
  if (found?.kind === 'image') return programProblems(context, found.at, `${subject}: its interpreter `, depth + 1);
  if (found !== undefined) return [];
  const path = pathsOf(program, context.manifest).map((each) => posix.dirname(each));
  return [
    `${subject}: its interpreter ${program} is missing in ${path.join(', ')}; env in the manifest may set another PATH`,
  ];
}

async function elfProblems(context: Context, elf: Elf, at: string, subject: string): Promise<string[]> {
  const { manifest, files, architecture: wanted } = context;
  if (wanted !== null && elf.architecture !== wanted.name)
    return [`${subject} is made for ${elf.architecture}, not for ${wanted.name} (--arch says what the device is)`];
  const architecture = architectureNamed(elf.architecture);
  const problems: string[] = [];
  if (elf.interpreter !== null) {
    const place = await files.find(elf.interpreter);
    if (place.kind !== 'mounted' && !(place.kind === 'image' && place.stats.isFile())) {
      const remedy = await remedyFor(context, posix.dirname(elf.interpreter), [elf.interpreter]);
      problems.push(
        `${subject}: its loader ${elf.interpreter} is neither in the root directory nor in a mount: ${remedy}`,
      );
    }
  }
  if (needsProc(elf) && manifest.mounts?.get('/proc')?.type !== 'proc')
    problems.push(`${subject}: its loader finds $ORIGIN in /proc/self/exe: add "/proc: { type: proc }" to mounts`);
  const missing = await missingLibraries(files, manifest, { at, elf, architecture });
  // The tools run with older Nodes as well, which have no Map.groupBy.
  const directories = new Set(missing.map((each) => directoryOf(each, architecture)));
  for (const directory of directories) {
    const libraries = missing.filter((each) => directoryOf(each, architecture) === directory);
    const names = libraries.map(nameOf(at)).join(', ');
    const verb = libraries.length === 1 ? 'is' : 'are';
    const paths = libraries.map(({ name }) => `/lib/${name}`);
    const remedy = await remedyFor(context, directory, paths);
    problems.push(`${subject}: ${names} ${verb} neither in the root directory nor in a mount: ${remedy}`);
  }
  return problems;
}

/** The GNU loader asks the kernel where the program is, musl's takes the path that was executed. */
function needsProc({ interpreter, rpath, runpath }: Elf): boolean {
  const hasOrigin = [...rpath, ...runpath].some((directory) => /\$(?:ORIGIN|\{ORIGIN\})/.test(directory));
  return hasOrigin && interpreter !== null && !isMuslLoader(interpreter);
}

function nameOf(program: string): (library: MissingLibrary) => string {
  return ({ name, neededBy, architecture }) => {
    const notes = [
      ...(neededBy === program ? [] : [`for ${neededBy}`]),
      ...(architecture === null ? [] : [`there is one for ${architecture}`]),
    ];
    return notes.length === 0 ? name : `${name} (${notes.join('; ')})`;
  };
}

/** The directory of a device that has the library, as far as this machine can tell; null = none that is usual. */
function directoryOf({ name }: MissingLibrary, architecture: Architecture | null): string | null {
  if (architecture === null || architecture !== hostArchitecture) return '/lib';
  const { multiarch } = architecture;
  const usual = ['/lib', '/lib64', '/usr/lib', '/usr/lib64', '/usr/local/lib'];
  return usual.find((each) => existsSync(join(each, multiarch, name)) || existsSync(join(each, name))) ?? null;
}

/** What to do about files that are missing: the line that binds the device's directory, where it would hide nothing. */
async function remedyFor(
  { files, manifest, root }: Context,
  directory: string | null,
  paths: readonly string[],
): Promise<string> {
  const copy = `put ${paths.length === 1 ? 'it' : 'them'} into the root directory as ${paths.join(', ')}`;
  if (directory === null) return copy;
  const overlaps = [...(manifest.mounts?.keys() ?? [])].some((target) => target.startsWith(`${directory}/`));
  const place = await files.find(directory);
  const hides = root !== null && place.kind === 'image' && (await readdir(place.path).catch(() => ['?'])).length > 0;
  return overlaps || hides ? copy : `add "${directory}: { type: bind, host: ${directory} }" to mounts, or ${copy}`;
}
