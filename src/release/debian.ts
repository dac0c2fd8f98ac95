// The tree as a Debian package, deb(5).
import { execFile } from 'node:child_process';
import { chmod, copyFile, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { join, relative } from 'node:path';
import { promisify } from 'node:util';
import type { Architecture } from './architectures.ts';
import type { Release } from './release-tree.ts';

const run = promisify(execFile);
const files = join(import.meta.dirname, 'files/debian');

/** Packs the tree in `folder`, which gets a `DEBIAN` beside its own; gives the path of the package in `out`. */
export async function packDebian(
  { version, time, quick }: Release,
  architecture: Architecture,
  folder: string,
  out: string,
): Promise<string> {
  const control = join(folder, 'DEBIAN');
  const installed = await contentOf(folder);
  await mkdir(control);
  await chmod(control, 0o755);
  const fields = (await readFile(join(files, 'control'), 'utf8'))
    .replaceAll('@VERSION@', version)
    .replaceAll('@ARCHITECTURE@', architecture)
    .replaceAll('@SIZE@', String(Math.ceil(installed.size / 1024)));
  await writeFile(join(control, 'control'), fields);
  await writeFile(join(control, 'conffiles'), '/etc/northstate/config.yaml\n');
  await writeFile(join(control, 'md5sums'), installed.sums);
  for (const script of ['postinst', 'prerm', 'postrm']) {
    await copyFile(join(files, script), join(control, script));
    await chmod(join(control, script), 0o755);
  }
  const compression = quick ? ['-Znone'] : ['-Zxz', '-z6'];
  const target = join(out, `northstate_${version}_${architecture}.deb`);
  await run('dpkg-deb', ['--root-owner-group', ...compression, '--build', folder, target], {
    env: { ...process.env, SOURCE_DATE_EPOCH: String(time) },
  });
  return target;
}

/** The bytes that an installation takes, and the sums that dpkg --verify compares. */
async function contentOf(folder: string): Promise<{ size: number; sums: string }> {
  let size = 0;
  const sums: string[] = [];
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    size += (await stat(path)).size;
    const name = relative(folder, path);
    if (name.startsWith('etc/')) continue;
    sums.push(
      `${createHash('md5')
        .update(await readFile(path))
        .digest('hex')}  ${name}\n`,
    );
  }
  return { size, sums: sums.toSorted((a, b) => (a.slice(34) < b.slice(34) ? -1 : 1)).join('') };
}
