// The npm package: the client, and the command line for machines that build packages. It has no Node and no launcher.
import { execFile } from 'node:child_process';
import { chmod, copyFile, cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { copyBuildFiles } from './build-files.ts';
import { setModes } from './modes.ts';

const run = promisify(execFile);
const files = join(import.meta.dirname, 'files/npm');

/** What is imported or started by name; the rest of the bundle is what these import. */
const entries = ['main.mjs', 'northstate.mjs', 'parser-worker.mjs', 'digest-worker.mjs'];

/** Packs it in `out`, from the bundle and the types that the set-up has made; `work` is an empty folder. Gives its path. */
export async function packNpm(root: string, work: string, out: string): Promise<string> {
  const bundle = join(root, '.build/bundle');
  await mkdir(join(work, 'bin'), { recursive: true });
  await mkdir(join(work, 'dist'));
  for (const file of await reachable(bundle)) await copyFile(join(bundle, file), join(work, 'dist', file));
  await cp(join(root, '.build/types'), join(work, 'types'), { recursive: true });
  await copyFile(join(files, 'northstate.mjs'), join(work, 'bin/northstate.mjs'));
  await chmod(join(work, 'bin/northstate.mjs'), 0o755);
  await copyBuildFiles(root, join(work, 'build'));
  await copyFile(join(root, 'LICENSE'), join(work, 'LICENSE'));
  await writeFile(join(work, 'README.md'), await readme(root));
  await writeFile(join(work, 'package.json'), `${JSON.stringify(await described(root), null, 2)}\n`);
  await setModes(work);
  const { stdout } = await run('npm', ['pack', '--silent', '--pack-destination', out], { cwd: work });
  return join(out, stdout.trim());
}

/** The files of the bundle that the entries need, from import to import. */
async function reachable(bundle: string): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  const rest = [...entries];
  for (let file = rest.pop(); file !== undefined; file = rest.pop()) {
    if (found.has(file)) continue;
    found.add(file);
    const code = await readFile(join(bundle, file), 'utf8');
    rest.push(...[...code.matchAll(/["']\.\/([\w-]+\.mjs)["']/g)].map(([, name = '']) => name));
  }
  return found;
}

/** What installs and what it is, then the client as its own README has it. */
async function readme(root: string): Promise<string> {
  const [ours, client] = await Promise.all([
    readFile(join(files, 'README.md'), 'utf8'),
    readFile(join(root, 'src/client/README.md'), 'utf8'),
  ]);
  const withoutLinks = client.replaceAll(/\[([^\]]+)\]\(\.\.[^)]*\)/g, '$1');
  return `${ours}\n${withoutLinks.replaceAll(/^#/gm, '##')}`;
}

/** What package.json says of us. */
interface Project {
  readonly version: string;
  readonly description: string;
  readonly license: string;
  readonly engines: object;
  readonly dependencies: Readonly<Record<string, string>>;
}

/** What cannot be in the bundle: a binary for each processor, and types that ours name. */
const outside = ['fast-json-patch', 'koffi'];

async function described(root: string): Promise<object> {
  const { version, description, license, engines, dependencies } = JSON.parse(
    await readFile(join(root, 'package.json'), 'utf8'),
  ) as Project;
  return {
    ...{ name: 'northstate', version, description, license, type: 'module', engines },
    dependencies: Object.fromEntries(outside.map((name) => [name, dependencies[name]])),
    exports: {
      '.': { types: './types/src/client/northstate.d.ts', default: './dist/northstate.mjs' },
      './package.json': './package.json',
    },
    bin: { northstate: 'bin/northstate.mjs', 'cargo-npk': 'build/cargo/cargo-npk' },
    files: ['bin', 'build', 'dist', 'types'],
  };
}
