// What the kernel says of itself, for a report.
import { readFile } from 'node:fs/promises';
import { arch, release, version } from 'node:os';
import { hasErrno } from '../../state/errno.ts';

const files = [
  '/proc/filesystems',
  '/proc/cgroups',
  '/proc/cmdline',
  '/proc/self/mountinfo',
  '/sys/kernel/security/lsm',
];

/** Release, architecture, what a few files of /proc and /sys say (null: there is none), and what `northstate check` finds. */
export async function kernelFacts(): Promise<unknown> {
  const texts = await Promise.all(
    files.map(async (file) => [file, await readFile(file, 'utf8').catch(ifUnreadable)] as const),
  );
  const { checkHost } = await import('../check/check-host.ts');
  const facts = { release: release(), version: version(), arch: arch(), ...Object.fromEntries(texts) };
  return { ...facts, features: await checkHost() };
}

/** A kernel that lacks a file, or shows it to nobody, is a fact as well. */
function ifUnreadable(error: unknown): null {
  if (hasErrno(error, 'ENOENT', 'EACCES')) return null;
  throw error;
}
