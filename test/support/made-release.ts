// What `npm run release` makes for this processor, quickly compressed.
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from './command.ts';

const root = join(import.meta.dirname, '../..');

/** This processor, as Debian calls it. */
export const architecture: string = process.arch === 'arm64' ? 'arm64' : 'amd64';

/** Makes a release of the checkout at `from` in a folder, for this processor or another; gives the names of the files. */
export async function release(
  out: string,
  { from = root, architecture: made = architecture } = {},
): Promise<readonly string[]> {
  const program = join(from, 'src/release/release.ts');
  const { code, stderr } = await run(process.execPath, [program, '--quick', '--architectures', made, '--out', out]);
  if (code !== 0) throw new Error(`release: ${stderr}`);
  return (await readdir(out)).toSorted();
}

/** Unpacks an archive of a release; gives the path of its install.sh. */
export async function unpack(archive: string, folder: string): Promise<string> {
  const { code, stderr } = await run('tar', ['-I', 'zstd', '-xf', archive, '-C', folder]);
  if (code !== 0) throw new Error(`tar: ${stderr}`);
  const [top = ''] = await readdir(folder);
  const script = join(folder, top, 'install.sh');
  if (!existsSync(script)) throw new Error(`${archive} has no install.sh`);
  return script;
}
