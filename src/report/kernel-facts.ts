// What the kernel says of itself, for a report.
import { readFile } from 'node:fs/promises';
import { arch, release, version } from 'node:os';

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
    files.map(async (file) => [file, await readFile(file, 'utf8').catch(ifMissing)] as const),
  );
  const { checkHost } = await import('../check/check-host.ts');
  const facts = { release: release(), version: version(), arch: arch(), ...Object.fromEntries(texts) };
  return { ...facts, features: await checkHost() };
}

function ifMissing(error: NodeJS.ErrnoException): null {
  if (error.code === 'ENOENT' || error.code === 'EACCES') return null;
  throw error;
}
