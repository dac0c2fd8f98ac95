// The npm packages that end up in a release: exactly those of package-lock.json, also for another processor than this one.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** What package-lock.json says of a package. */
export interface LockedPackage {
  readonly version: string;
  readonly integrity: string;
  readonly license?: string;
  readonly dev?: boolean;
  readonly optional?: boolean;
}

/** The packages of a checkout's lock file, by name; a name below another package's folder is that of the inner one. */
export async function readLock(root: string): Promise<ReadonlyMap<string, LockedPackage>> {
  const lock = JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Readonly<Record<string, LockedPackage>>;
  };
  return new Map(Object.entries(lock.packages).filter(([path]) => path !== ''));
}

/**
 * The folder of a package: in node_modules, or below `cache`, unpacked from the registry's archive when that has the digest
 * of the lock file. Rejects when it is not locked, cannot be fetched or is another.
 */
export async function packageFolder(root: string, cache: string, name: string): Promise<string> {
  const installed = join(root, 'node_modules', name);
  if (existsSync(installed)) return installed;
  const locked = (await readLock(root)).get(`node_modules/${name}`);
  if (locked === undefined) throw new Error(`${name} is not in package-lock.json`);
  const kept = join(cache, `${name.replaceAll('/', '-')}-${locked.version}`);
  if (!existsSync(kept)) await fetchPackage(`${name}@${locked.version}`, locked.integrity, kept);
  return join(kept, 'package');
}

async function fetchPackage(specification: string, integrity: string, folder: string): Promise<void> {
  const work = `${folder}.${process.pid}`;
  await mkdir(work, { recursive: true });
  try {
    const { stdout } = await run('npm', ['pack', '--silent', '--pack-destination', work, specification]);
    const archive = join(work, stdout.trim());
    const found = `sha512-${createHash('sha512')
      .update(await readFile(archive))
      .digest('base64')}`;
    if (found !== integrity) throw new Error(`${specification}: ${found}, but package-lock.json has ${integrity}`);
    await run('tar', ['-xzf', archive, '-C', work]);
    await rm(archive);
    await rename(work, folder);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
