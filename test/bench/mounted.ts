// A package's image mounted for the programs that the runtime is measured against, and control groups of their own.
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { mkdtemp, mkdir, rm, rmdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { readPackage } from '../../src/npk/open-package.ts';
import { run } from '../support/command.ts';
import { giveUpGroups } from '../support/leftover-groups.ts';
import { detectHierarchies } from '../../controllers/cgroups/cgroups-observe.ts';

export interface MountedImage extends AsyncDisposable {
  readonly path: string;
  /** Control groups as floor.c takes them, those that a container with limits of cpu and memory has. */
  readonly groups: readonly string[];
}

/** Mounts the image of a package as mount(8) does. Disposing of it takes everything away. */
export async function mountedImage(file: string): Promise<MountedImage> {
  const { image } = await readPackage(file);
  const path = await mkdtemp(join(tmpdir(), 'northstate-bench-'));
  const groups = await makeGroups(basename(path));
  const options = `loop,ro,offset=${image.offset},sizelimit=${image.size}`;
  const { code, stderr } = await run('mount', ['-t', image.type, '-o', options, file, path]);
  if (code !== 0) throw new Error(`mount ${file}: ${stderr}`);
  // A benchmark that is ended at once disposes of nothing any more.
  const giveUp = (): void => {
    spawnSync('umount', ['-l', path]);
    rmSync(path, { recursive: true, force: true });
    giveUpGroups(basename(path));
  };
  process.on('exit', giveUp);
  return {
    path,
    groups: groups.map(({ argument }) => argument),
    async [Symbol.asyncDispose]() {
      process.off('exit', giveUp);
      await run('umount', [path]);
      for (const { directory } of groups) await rmdir(directory);
      await rm(path, { recursive: true, force: true });
    },
  };
}

/** In each v1 hierarchy that has one of the controllers, else in the v2 tree. */
async function makeGroups(name: string): Promise<{ directory: string; argument: string }[]> {
  const { legacy, unified } = detectHierarchies();
  const mounts = new Set((['cpu', 'memory', 'cpuacct'] as const).flatMap((controller) => legacy.get(controller) ?? []));
  const directories = [...(mounts.size > 0 || unified === null ? mounts : [unified])].map((mount) => join(mount, name));
  if (mounts.size === 0 && unified !== null) await writeFile(join(unified, 'cgroup.subtree_control'), '+cpu +memory');
  for (const directory of directories) await mkdir(directory);
  return directories.map((directory) => ({
    directory,
    argument: mounts.size > 0 ? join(directory, 'cgroup.procs') : directory,
  }));
}
