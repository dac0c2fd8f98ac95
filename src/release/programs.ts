// What is compiled: Node without its symbols, the launcher, koffi of one processor alone.
import { execFile } from 'node:child_process';
import { chmod, copyFile, cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { architectures, type Architecture } from './architectures.ts';
import { checkAlignment } from './page-alignment.ts';
import { packageFolder } from './release-packages.ts';

const run = promisify(execFile);

export interface Sources {
  /** The checkout. */
  readonly root: string;
  /** Where packages for other processors are kept between two releases. */
  readonly cache: string;
}

/** Writes the programs of an architecture into a folder: `node`, `northstate-launcher`, `northstate-player`, `node_modules/`. */
export async function installPrograms(sources: Sources, architecture: Architecture, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const programs = await Promise.all([
    installNode(sources, architecture, join(folder, 'node')),
    installBuilt(sources, architecture, 'launcher/build.sh', join(folder, 'northstate-launcher')),
    installBuilt(sources, architecture, 'player/build-player.sh', join(folder, 'northstate-player')),
    installKoffi(sources, architecture, join(folder, 'node_modules')),
  ]);
  for (const program of programs) await checkAlignment(program, architectures[architecture].page);
}

async function installNode({ root, cache }: Sources, architecture: Architecture, target: string): Promise<string> {
  const { node, gnu } = architectures[architecture];
  const source = join(await packageFolder(root, cache, `node-linux-${node}`), 'bin/node');
  await run(`${gnu}-strip`, ['--strip-all', '-o', target, source]);
  await chmod(target, 0o755);
  return target;
}

/** A program of native/, by its script. */
async function installBuilt(
  { root }: Sources,
  architecture: Architecture,
  script: string,
  target: string,
): Promise<string> {
  await run('sh', [join(root, 'native', script), architecture]);
  await copyFile(join(root, `.build/${basename(target)}-${architecture}`), target);
  return target;
}

/** Koffi's own files name those of every processor; what is loaded at run time is this. Gives the compiled part. */
async function installKoffi({ root, cache }: Sources, architecture: Architecture, target: string): Promise<string> {
  const { node, gnu } = architectures[architecture];
  const koffi = await packageFolder(root, cache, 'koffi');
  for (const file of ['index.js', 'src/koffi/index.js', 'src/koffi/src/static.js', 'LICENSE.txt']) {
    await mkdir(dirname(join(target, 'koffi', file)), { recursive: true });
    await copyFile(join(koffi, file), join(target, 'koffi', file));
  }
  const described = JSON.parse(await readFile(join(koffi, 'package.json'), 'utf8')) as { version: string };
  const entry = { name: 'koffi', version: described.version, type: 'module', exports: './index.js', license: 'MIT' };
  await writeFile(join(target, 'koffi/package.json'), `${JSON.stringify(entry, null, 2)}\n`);

  const name = `@koromix/koffi-linux-${node}`;
  const binary = await packageFolder(root, cache, name);
  const folder = `linux_${node}`;
  await mkdir(join(target, name, folder), { recursive: true });
  for (const file of ['package.json', 'index.js']) await cp(join(binary, file), join(target, name, file));
  const library = join(target, name, folder, 'koffi.node');
  await run(`${gnu}-strip`, ['--strip-all', '-o', library, join(binary, folder, 'koffi.node')]);
  await chmod(library, 0o644);
  return library;
}
