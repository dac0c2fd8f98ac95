// An installation of this checkout as a device has it, with programs that nobody else on this machine runs: no page of theirs is
// shared with other processes, and so hidden from a measurement.
import { copyFile, cp, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface OwnPrograms extends AsyncDisposable {
  /** Its command. */
  readonly program: string;
  /** What its processes find compiled code in. */
  readonly env: NodeJS.ProcessEnv;
}

const root = join(import.meta.dirname, '../..');

/** Makes one; what is bundled must be there (native/setup.sh). */
export async function installOwn(): Promise<OwnPrograms> {
  const folder = await mkdtemp(join(tmpdir(), 'northstate-installed-'));
  const files = {
    node: process.execPath,
    northstate: join(root, 'src/cli/northstate'),
    'northstate-launcher': join(root, '.build/northstate-launcher'),
    'northstate-player': join(root, '.build/northstate-player'),
  };
  for (const [name, source] of Object.entries(files)) await copyFile(source, join(folder, name));
  await cp(join(root, '.build/bundle'), join(folder, 'bundle'), { recursive: true });
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'));
  return {
    program: join(folder, 'northstate'),
    env: { NODE_COMPILE_CACHE: join(folder, 'compiled') },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  };
}
