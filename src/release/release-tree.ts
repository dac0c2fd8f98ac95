// What is installed on a device, file by file: the tree that the .deb and the tar archive hold.
import { chmod, copyFile, cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { scripts, type Shell } from '../cli/completion.ts';
import { schemas } from '../cli/schema.ts';
import type { Architecture } from './architectures.ts';
import { partsOf, renderBill, renderCopyright } from './bill.ts';
import { copyBuildFiles } from './build-files.ts';
import { compileBundle } from './compiled-bundle.ts';
import { installManual } from './manual.ts';
import { setModes } from './modes.ts';
import { installPrograms, type Sources } from './programs.ts';

export interface Release extends Sources {
  readonly version: string;
  /** The version of Node that comes along. */
  readonly node: string;
  /** Of everything in it: when the commit was made, seconds since 1970. */
  readonly time: number;
  /** Compress little. */
  readonly quick: boolean;
}

const files = join(import.meta.dirname, 'files');

/** Where our own files lie. */
export const home = 'usr/lib/northstate';

/** Makes the tree of an architecture in `folder`, which is new. */
export async function makeTree(release: Release, architecture: Architecture, folder: string): Promise<void> {
  const { root } = release;
  await installPrograms(release, architecture, join(folder, home));
  await cp(join(root, '.build/bundle'), join(folder, home, 'bundle'), { recursive: true });
  await compileBundle(root, architecture, join(folder, home));
  await install(join(root, 'src/cli/northstate'), join(folder, home, 'northstate'), 0o755);
  await mkdir(join(folder, 'usr/bin'), { recursive: true });
  await symlink('../lib/northstate/northstate', join(folder, 'usr/bin/northstate'));
  await copyBuildFiles(root, join(folder, home, 'build'));
  await symlink('../lib/northstate/build/cargo/cargo-npk', join(folder, 'usr/bin/cargo-npk'));
  await mkdir(join(folder, 'usr/lib/cmake'));
  await symlink('../northstate/build/cmake', join(folder, 'usr/lib/cmake/Northstate'));
  await install(join(files, 'northstate.service'), join(folder, 'usr/lib/systemd/system/northstate.service'));
  await install(join(files, 'tmpfiles.conf'), join(folder, 'usr/lib/tmpfiles.d/northstate.conf'));
  await install(join(files, 'config.yaml'), join(folder, 'etc/northstate/config.yaml'));
  await installIntegration(root, folder);
  await installCompletions(folder);
  await installSchemas(join(folder, 'usr/share/northstate/schemas'));
  await installManual(root, join(folder, 'usr/share/man'), { date: release.time, version: release.version });
  await installDocumentation(release, join(folder, 'usr/share/doc/northstate'));
  await setModes(folder);
}

async function install(source: string, target: string, mode = 0o644): Promise<void> {
  await mkdir(dirname(target), { recursive: true });
  await copyFile(source, target);
  await chmod(target, mode);
}

async function write(target: string, content: string | Uint8Array): Promise<void> {
  await mkdir(dirname(target), { recursive: true });
  await writeFile(target, content);
}

/** Where each shell looks for what a distribution brings. */
const completions = {
  bash: 'usr/share/bash-completion/completions/northstate',
  zsh: 'usr/share/zsh/vendor-completions/_northstate',
  fish: 'usr/share/fish/vendor_completions.d/northstate.fish',
} as const satisfies Partial<Record<Shell, string>>;

async function installCompletions(folder: string): Promise<void> {
  for (const [shell, path] of Object.entries(completions)) await write(join(folder, path), scripts[shell as Shell]);
}

/** What updaters call. */
async function installIntegration(root: string, folder: string): Promise<void> {
  const place = 'share/northstate/integration';
  for (const name of ['northstate-bundle', 'mender', 'rauc', 'swupdate']) {
    await cp(join(root, 'examples/integration', name), join(folder, 'usr', place, name), { recursive: true });
  }
  await symlink(`../${place}/northstate-bundle`, join(folder, 'usr/bin/northstate-bundle'));
}

async function installSchemas(folder: string): Promise<void> {
  for (const [name, schema] of Object.entries(schemas)) {
    await write(join(folder, `${name}.schema.json`), `${JSON.stringify(schema(), null, 2)}\n`);
  }
}

async function installDocumentation({ root, version, node, time }: Release, folder: string): Promise<void> {
  const parts = await partsOf(root, version, node);
  await write(join(folder, 'copyright'), renderCopyright(parts));
  await write(join(folder, 'bill-of-materials.cdx.json'), renderBill(parts, time));
  const changes = await readFile(join(root, '.github/CHANGELOG.md'));
  await write(join(folder, 'changelog.gz'), gzipSync(changes, { level: 9 }));
}
