// The folder of an npm package becomes a container: the files that `npm pack` would publish and the packages that they
// need at run time, in /app; and a Node, when package.json names one. npm is asked for both lists, and nothing is run or
// downloaded.
import { existsSync, readFileSync } from 'node:fs';
import { cp, lstat, mkdir, mkdtemp, readFile, realpath, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, posix, resolve } from 'node:path';
import { z } from 'zod';
import type { Addition } from '../../npk/image/root-directory.ts';
import type { ManifestSource } from '../../npk/manifest/manifest-source.ts';
import type { PackOptions } from '../../npk/pack.ts';
import { runProgram } from '../run-program.ts';
import { checkSettings, manifestSetting } from '../settings.ts';
import { messageOf } from '../../../state/errno.ts';

/** Where the package lies in the container, and its Node. */
const appDirectory = '/app';
const nodePath = '/bin/node';
const inside = '/node_modules/';

const settingsSchema = z.strictObject({
  manifest: manifestSetting,
  root: z.string().min(1).optional(),
  node: z.string().min(1).optional(),
});

/** The fields of package.json that are read here. */
const packageSchema = z.object({
  name: z.string().optional(),
  version: z.string().optional(),
  main: z.string().optional(),
  bin: z.union([z.string(), z.record(z.string(), z.string())]).optional(),
  northstate: settingsSchema,
});
type PackageJson = z.output<typeof packageSchema>;

export interface NpmPacking extends AsyncDisposable {
  readonly options: Pick<PackOptions, 'manifest' | 'part' | 'root' | 'additions'>;
}

/**
 * What to pack of a package's folder, until it is disposed of. `node` is the file of a Node to put into the image instead
 * of the one that package.json names. Rejects with an Error that names file and field, or with what npm finds wrong.
 */
export async function npmPacking(
  folder: string,
  { node }: { readonly node?: string | undefined },
): Promise<NpmPacking> {
  const file = join(folder, 'package.json');
  const content = await readPackageJson(file);
  const { root, node: wanted } = content.northstate;
  const found = node ?? (wanted === undefined ? undefined : await nodeOf(resolve(folder), wanted));
  const work = await mkdtemp(join(tmpdir(), 'northstate-npm-'));
  const remove = (): Promise<void> => rm(work, { recursive: true, force: true });
  try {
    const app = join(work, 'app');
    await copyPublished(folder, app);
    const real = await realpath(folder);
    for (const path of await dependenciesOf(folder)) await copyDependency(path, real, app);
    const additions: Addition[] = [{ at: appDirectory, from: app }];
    if (found !== undefined) additions.push({ at: nodePath, from: found });
    return {
      options: {
        ...manifestOf(content, file, found !== undefined),
        ...(root !== undefined && { root: join(folder, root) }),
        additions,
      },
      [Symbol.asyncDispose]: remove,
    };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** Whether a folder has a package.json that says how to pack it. */
export function hasNpmPackage(folder: string): boolean {
  const file = join(folder, 'package.json');
  if (!existsSync(file)) return false;
  const content = parse(file, readFileSync(file, 'utf8'));
  return typeof content === 'object' && content !== null && 'northstate' in content;
}

async function readPackageJson(file: string): Promise<PackageJson> {
  const text = await readFile(file, 'utf8');
  const value = parse(file, text);
  if (typeof value === 'object' && value !== null && !('northstate' in value))
    throw new Error(`${file}: northstate: is missing: it says which manifest the package gets`);
  return checkSettings(packageSchema, value, { file, field: '' });
}

function parse(file: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${file}: ${messageOf(error)}`, { cause: error });
  }
}

/** A manifest of its own, or the fields in package.json with what it says anyway: name, version, program. */
function manifestOf(
  { name, version, main, bin, northstate }: PackageJson,
  file: string,
  hasNode: boolean,
): ManifestSource {
  const { manifest } = northstate;
  if (typeof manifest === 'string') return { manifest: join(dirname(file), manifest) };
  const [program = main ?? 'index.js'] = typeof bin === 'string' ? [bin] : Object.values(bin ?? {});
  const defaults = {
    ...(name !== undefined && { name: name.replace(/^@[^/]*\//, '') }),
    ...(version !== undefined && { version }),
    ...(hasNode && { init: nodePath, args: [posix.join(appDirectory, program)] }),
  };
  const text = JSON.stringify({ ...defaults, ...manifest });
  return { manifest: file, part: { field: 'northstate.manifest', text } };
}

/** A path in the folder, or an installed package that has bin/node. */
async function nodeOf(folder: string, wanted: string): Promise<string> {
  if (/^\.{0,2}\//.test(wanted)) return resolve(folder, wanted);
  for (let directory = folder; ; directory = dirname(directory)) {
    const path = join(directory, 'node_modules', wanted, 'bin/node');
    const isThere = await stat(path).then(
      (found) => found.isFile(),
      () => false,
    );
    if (isThere) return path;
    if (directory === dirname(directory)) break;
  }
  throw new Error(
    `${join(folder, 'package.json')}: northstate.node: no package ${wanted} with bin/node is installed: npm install it, or write a path that begins with ./`,
  );
}

async function copyPublished(folder: string, target: string): Promise<void> {
  const published = z.array(z.object({ files: z.array(z.object({ path: z.string() })) })).min(1);
  const [found] = published.parse(await askNpm(folder, ['pack', '--dry-run', '--ignore-scripts']));
  for (const { path } of found?.files ?? []) {
    // What is bundled comes with the dependencies.
    if (`/${path}`.startsWith(inside)) continue;
    await mkdir(dirname(join(target, path)), { recursive: true });
    await cp(join(folder, path), join(target, path), { verbatimSymlinks: true });
  }
}

interface Listed {
  readonly path?: string | undefined;
  readonly dependencies?: Readonly<Record<string, Listed>> | undefined;
}

const listed: z.ZodType<Listed> = z.object({
  path: z.string().optional(),
  dependencies: z.lazy(() => z.record(z.string(), listed)).optional(),
});

/** Where every package is installed that is needed at run time, outer ones first. */
async function dependenciesOf(folder: string): Promise<string[]> {
  const tree = listed.parse(await askNpm(folder, ['ls', '--omit=dev', '--all', '--long']));
  const paths = new Set<string>();
  const collect = ({ dependencies = {} }: Listed): void => {
    for (const each of Object.values(dependencies)) {
      if (each.path !== undefined) paths.add(each.path);
      collect(each);
    }
  };
  collect(tree);
  return [...paths].sort();
}

/** Into app/node_modules, also from a workspace's node_modules above the folder. */
async function copyDependency(path: string, folder: string, app: string): Promise<void> {
  const target = join(
    app,
    path.startsWith(`${folder}/`) ? path.slice(folder.length) : path.slice(path.indexOf(inside)),
  );
  // A link leads to a package that is being worked on, beside its tests and tools.
  if ((await lstat(path)).isSymbolicLink()) return copyPublished(await realpath(path), target);
  await mkdir(dirname(target), { recursive: true });
  const isOwn = (source: string): boolean => !`${source.slice(path.length)}/`.includes(inside);
  await cp(path, target, { recursive: true, verbatimSymlinks: true, filter: isOwn });
}

/** What npm prints as JSON. Rejects with the problems that it finds. */
async function askNpm(folder: string, args: readonly string[]): Promise<unknown> {
  const lines: string[] = [];
  const onLine = (line: string): void => void lines.push(line);
  const code = await runProgram('npm', [...args, '--json', '--offline', '--loglevel=silent'], { cwd: folder, onLine });
  const answer = parse(`npm ${args.join(' ')}`, lines.join('\n') || '{}');
  if (code === 0) return answer;
  const said = z.object({
    problems: z.array(z.string()).optional(),
    error: z.object({ summary: z.string() }).optional(),
  });
  const { problems, error } = said.parse(answer);
  const reasons = problems ?? (error === undefined ? [`exit code ${code}`] : [error.summary]);
  throw new Error(`npm ${args[0] ?? ''} in ${folder}: ${reasons.join('; ')} (npm install may mend it)`);
}
