// A package's image mounted for the programs that the runtime is measured against, and control groups of their own.
import { mkdtemp, mkdir, rm, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { readPackage } from '../../src/npk/package.ts';
import { run } from '../command.ts';

export interface MountedImage extends AsyncDisposable {
  readonly path: string;
  /** cgroup.procs of a cpu and a memory group (v1), as containers with limits have them. */
  readonly groups: readonly string[];
}

/** Mounts the image of a package as mount(8) does. Disposing of it takes everything away. */
export async function mountedImage(file: string): Promise<MountedImage> {
  const { image } = await readPackage(file);
  const path = await mkdtemp(join(tmpdir(), 'northstate-bench-'));
  const groups = ['cpu', 'memory', 'cpuacct'].map((name) => join('/sys/fs/cgroup', name, basename(path)));
  const options = `loop,ro,offset=${image.offset},sizelimit=${image.size}`;
  const { code, stderr } = await run('mount', ['-t', image.type, '-o', options, file, path]);
  if (code !== 0) throw new Error(`mount ${file}: ${stderr}`);
  for (const group of groups) await mkdir(group);
  return {
    path,
    groups: groups.map((group) => join(group, 'cgroup.procs')),
    async [Symbol.asyncDispose]() {
      await run('umount', [path]);
      for (const group of groups) await rmdir(group);
      await rm(path, { recursive: true, force: true });
    },
  };
}
