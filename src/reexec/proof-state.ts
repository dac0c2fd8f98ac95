// A copy of all that a reconciler writes to, for one that proves itself: whatever it does to it, the one that runs does not see.
import {
  copyFileSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readSync,
  writeSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { imagesDirectory } from '../../controllers/mounts/mounts.ts';
import { understoodDirectory } from '../../state/file/understood.ts';
import { createMemoryFile, extentsOf, isSealed } from '../../native/memfd.ts';
import { SyscallError } from '../../native/libc.ts';
import { ifMissing } from '../../state/errno.ts';
import type { Configuration } from '../config/configuration.ts';

/** Copies lie below runDir, under names that begin so. */
export const proofPrefix = 'proof-';

/** The same configuration on copies of stateDir, the document, and what is in runDir. */
export function copyState(config: Configuration): Configuration {
  const copy = mkdtempSync(join(config.runDir, proofPrefix));
  const [state, run, document] = ['state', 'run', 'document'].map((name) => join(copy, name)) as [
    string,
    string,
    string,
  ];
  mkdirSync(document, { mode: 0o700 });
  copyTree(config.stateDir, state, new Set());
  // Images are mounted in it, and other directories of ours may lie there.
  const { stateDir, dataDir, socketDir, runDir } = config;
  copyTree(runDir, run, new Set([imagesDirectory(runDir), stateDir, dataDir, socketDir]));
  const desired = join(document, basename(config.desired));
  for (const end of ['', '.sig']) unlessGone(() => copyFileSync(config.desired + end, desired + end));
  return { ...config, stateDir: state, runDir: run, desired, seed: join(document, 'no seed') };
}

/** What was made of texts there is the successor's to find: it would take the longest part of its start. */
export function keepUnderstood(copied: Configuration, config: Configuration): void {
  const [from, to] = [copied, config].map(({ runDir }) => join(runDir, understoodDirectory)) as [string, string];
  if (existsSync(from)) cpSync(from, to, { recursive: true });
}

/** Whoever runs goes on meanwhile: what it removes, an old generation, is not there for the copy either. */
function copyTree(from: string, to: string, passedOver: ReadonlySet<string>): void {
  if (passedOver.has(from)) return;
  const found = lstatSync(from, { throwIfNoEntry: false });
  if (found?.isFile()) unlessGone(() => copyFileSync(from, to));
  if (!found?.isDirectory()) return;
  mkdirSync(to, { mode: 0o700 });
  for (const name of unlessGone(() => readdirSync(from)) ?? []) {
    if (isPlain(name)) copyTree(join(from, name), join(to, name), passedOver);
  }
}

function unlessGone<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    return ifMissing(error);
  }
}

/** What is being written is its writer's. */
function isPlain(name: string): boolean {
  return !name.endsWith('.new') && !name.endsWith('.part') && !name.startsWith(proofPrefix);
}

/** Of files in memory that the launcher keeps, those that are only read here: their position says how far a conversation is. */
const onlyRead = /^connection /;

/** The same descriptors, with copies in the place of files that could be changed through them. */
export function copyKept(kept: ReadonlyMap<string, number>): Map<string, number> {
  return new Map([...kept].map(([name, fd]) => [name, onlyRead.test(name) || isFixed(fd) ? fd : copyOf(name, fd)]));
}

function isFixed(fd: number): boolean {
  try {
    return isSealed(fd);
  } catch (error) {
    if (error instanceof SyscallError) return true; // no file in memory
    throw error;
  }
}

/** Copies until two readings are the same: whoever runs may write meanwhile. */
function copyOf(name: string, fd: number): number {
  let found = readAll(fd);
  for (let left = 10; left > 0; left--) {
    const again = readAll(fd);
    const isSame = isDeepStrictEqual(again, found);
    found = again;
    if (isSame) break;
  }
  const copy = createMemoryFile(`northstate proof ${name}`);
  for (const [begin, bytes] of found) {
    for (let done = 0; done < bytes.length;) done += writeSync(copy, bytes, done, bytes.length - done, begin + done);
  }
  return copy;
}

function readAll(fd: number): [begin: number, bytes: Buffer][] {
  return extentsOf(fd).map(([begin, end]) => {
    const bytes = Buffer.alloc(end - begin);
    return [begin, bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, begin))];
  });
}
