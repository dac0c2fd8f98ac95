// A shell for containers that have none: a static busybox of this installation or of the host, which only the session sees.
import { execFile } from 'node:child_process';
import { closeSync, constants, openSync } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import { SyscallError } from '../../native/libc.ts';
import { openWithin } from '../../native/openat2.ts';
import { openTree, setTreeAttributes } from '../../native/trees.ts';
import { ifMissing } from '../../state/errno.ts';
import { ownShell } from '../installation.ts';
import { readElf } from '../npk/program/elf.ts';
import { RuntimeError } from '../runtime/runtime.ts';

/** Where a session finds them (native/launcher/sandbox/view.c). */
export const toolsPath = '/.northstate/bin';

/** MOUNT_ATTR_RDONLY, NOSUID and NODEV. */
const flags = 1 | 2 | 4;
const O_PATH = 0x200000;
const writableByOthers = 0o022;
const shell = 'bin/sh';

export interface Tools {
  /** The program, as a detached tree. */
  readonly tree: number;
  /** What it can be called as. */
  readonly names: readonly string[];
  close(): void;
}

/** Whether a container has no shell where one is looked for, as its init sees it; nothing in it is followed out of it. */
export function lacksShell(init: number): boolean {
  const root = openSync(`/proc/${init}/root`, O_PATH | constants.O_DIRECTORY);
  try {
    closeSync(openWithin(root, shell, shell));
    return false;
  } catch (error) {
    if (error instanceof SyscallError) return true;
    throw error;
  } finally {
    closeSync(root);
  }
}

/** Opens it. Throws RuntimeError when there is none. */
export async function openTools(): Promise<Tools> {
  const program = await findProgram();
  const names = await namesOf(program);
  const tree = openTree(program, false);
  setTreeAttributes(tree, flags, false, program);
  return { tree, names, close: () => closeSync(tree) };
}

const places = [ownShell(), '/usr/lib/northstate/busybox', '/bin/busybox', '/usr/bin/busybox', '/sbin/busybox'];

async function findProgram(): Promise<string> {
  for (const place of places) if (await isTrustedStatic(place)) return place;
  const message = 'the container has no /bin/sh, and the host no static busybox: install the package busybox-static';
  throw new RuntimeError('session_failed', message, {});
}

/** Root's alone, and in need of no library: those of the container are not ours. */
async function isTrustedStatic(path: string): Promise<boolean> {
  const found = await stat(path).catch(ifMissing);
  if (found === null || !found.isFile() || found.uid !== 0 || (found.mode & writableByOthers) !== 0) return false;
  await using file = await open(path);
  const elf = await readElf(file).catch(() => null);
  return elf !== null && elf.interpreter === null && elf.needed.length === 0;
}

/** What each program was built with, by its path and change time. */
const known = new Map<string, readonly string[]>();

async function namesOf(program: string): Promise<readonly string[]> {
  const key = `${program} ${(await stat(program)).ctimeMs}`;
  const earlier = known.get(key);
  if (earlier !== undefined) return earlier;
  const { stdout } = await promisify(execFile)(program, ['--list'], { timeout: 10_000 });
  const names = stdout.split('\n').filter((name) => /^[^/\0]{1,255}$/.test(name) && name !== '.' && name !== '..');
  known.set(key, names);
  return names;
}
