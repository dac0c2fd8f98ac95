// Compiles the examples' programs and packs them into .build/examples. Run by the set-up.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, glob, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { schemas } from '../src/cli/schema.ts';
import { pack } from '../src/npk/pack.ts';

const run = promisify(execFile);
const out = join(import.meta.dirname, '../.build/examples');

/** Debian's, unpacked (native/setup.sh --test). */
const redis = join(import.meta.dirname, '../.build/redis');

/** Versions besides the one in the manifest, for updates. */
const furtherVersions = new Map([['hello-world', ['1.1.0', '2.0.0']]]);

await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });
const manifests = await Array.fromAsync(glob(join(import.meta.dirname, '{*,tour/*}/manifest.yaml')));
const folders = manifests.map(dirname).filter((folder) => basename(folder) !== 'redis-server' || existsSync(redis));
await Promise.all(folders.map(build));
// For editors: the documents here name them in their first line.
await mkdir(join(out, '../schemas'), { recursive: true });
for (const kind of ['document', 'manifest', 'configuration'] as const)
  await writeFile(join(out, `../schemas/${kind}.json`), `${JSON.stringify(schemas[kind](), null, 2)}\n`);
await writeFile(join(out, 'packed'), '');

/** An example is a folder: a manifest, and NAME.c or files below root/ or both. */
async function build(folder: string): Promise<void> {
  const name = basename(folder);
  const manifest = await readFile(join(folder, 'manifest.yaml'), 'utf8');
  const work = await mkdtemp(join(tmpdir(), `northstate-${name}-`));
  const root = join(work, 'root');
  await mkdir(root);
  for await (const files of glob(join(folder, 'root'))) await cp(files, root, { recursive: true });
  if (name === 'redis-server') await addRedis(root);
  for await (const source of glob(join(folder, '*.c')))
    await run('gcc', [
      ...'-std=gnu17 -Os -s -static -Wall -Wextra -Wshadow -Werror -o'.split(' '),
      join(root, programOf(manifest)),
      source,
    ]);

  const [version = ''] = /(?<=^version: ).*/m.exec(manifest) ?? [];
  for (const each of [version, ...(furtherVersions.get(name) ?? [])]) {
    const file = join(work, 'manifest.yaml');
    await writeFile(file, manifest.replace(`version: ${version}`, `version: ${each}`));
    await pack({ manifest: file, root, out });
  }
  await rm(work, { recursive: true });
}

/** The program and those of its libraries that a small device lacks. */
async function addRedis(root: string): Promise<void> {
  await mkdir(join(root, 'redis/lib'), { recursive: true });
  await cp(join(redis, 'usr/bin/redis-check-rdb'), join(root, 'redis/redis-server'));
  for await (const library of glob(join(redis, 'usr/lib/*/*.so.*')))
    await cp(library, join(root, 'redis/lib', basename(library)), { dereference: true });
}

/** What the manifest calls it: a mount point may have the example's own name. */
function programOf(manifest: string): string {
  const [init = ''] = /(?<=^init: \/).*/m.exec(manifest) ?? [];
  return init;
}
