// The tree as an archive for devices without a package manager, with the script that installs it.
import { execFile } from 'node:child_process';
import { copyFile, chmod, cp, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Architecture } from './architectures.ts';
import type { Release } from './release-tree.ts';

const run = promisify(execFile);

/** Packs the tree in `folder`; gives the path of the archive in `out`. What it unpacks to is one folder of its name. */
export async function packArchive(
  { version, time, quick }: Release,
  architecture: Architecture,
  folder: string,
  out: string,
): Promise<string> {
  const name = `northstate-${version}-${architecture}`;
  const work = `${folder}.tar`;
  const top = join(work, name);
  await mkdir(top, { recursive: true });
  await cp(folder, join(top, 'root'), { recursive: true, verbatimSymlinks: true });
  await copyFile(join(import.meta.dirname, 'files/install.sh'), join(top, 'install.sh'));
  await chmod(join(top, 'install.sh'), 0o755);
  const target = join(out, `${name}.tar.zst`);
  const owner = ['--owner=0', '--group=0', '--numeric-owner', '--sort=name', '--format=gnu', `--mtime=@${time}`];
  await run('tar', [
    ...owner,
    '--mode=u+w,go-w',
    '-I',
    quick ? 'zstd -1' : 'zstd -19 -T1',
    '-cf',
    target,
    '-C',
    work,
    name,
  ]);
  await rm(work, { recursive: true });
  return target;
}
