// Persistent data that is kept over a trial: a copy beside the data in dataDir, made under a private name and renamed into its
// place, so that there is all of it or nothing whenever the power fails. A container is in none of these directories.
import { hash, randomBytes } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, promises, statSync } from 'node:fs';
import { join } from 'node:path';
import { despiteOwnFlags } from '../../native/file-flags.ts';
import { removeTree } from '../../native/removal.ts';
import type { TreeBounds } from '../../native/tree-copy.ts';
import { hasErrno, messageOf } from '../../state/errno.ts';
import { prepareFile } from '../../state/file/write-file.ts';
import { readdir } from '../../state/file/in-place.ts';
import type { KeptData } from '../../state/observed.ts';
import type { KeptDataStep } from './kept-data-plan.ts';
import { partOf, type Part } from '../controller.ts';
import { planKeptData } from './kept-data-plan.ts';
import { TerminalError } from '../failure.ts';

/** Raised with every change of its form. */
const form = 1;
const keptPrefix = '.kept:';
/** Of what is being made, and of what is being taken down. */
const privatePrefix = '.keeping:';
const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants;

/** What is written beside a copy. */
interface Note {
  readonly form: number;
  readonly name: string;
  readonly version: string;
  readonly confirmed: number;
  /** There was no directory. */
  readonly empty: boolean;
}

export interface KeptDataPorts {
  readonly dataDir: string;
  /** The program that copies. */
  readonly program: string;
  readonly bounds: TreeBounds;
  /** Before another version may write: no later boot is to start the confirmed one before its data is back. */
  readonly forgetBoot: () => Promise<void>;
  readonly observe: (name: string, kept: KeptData | null) => void;
  readonly tell: (event: { readonly type: 'data'; readonly container: string; readonly what: DataNews }) => void;
  /** Told of what cannot be removed, which the next start tries again. */
  readonly failed: (error: unknown) => void;
}

export type DataNews = 'kept' | 'restored' | 'dropped';

export interface KeptDataActs {
  readonly part: Part;
  touch(name: string, touched: boolean): Promise<void>;
  /** Gives up what is kept of a name. */
  drop(name: string): Promise<void>;
}

/** What is kept by name, and names of what an end in between has left. Rejects with the errno. */
export async function readKeptData(
  dataDir: string,
  unread: (path: string, error: unknown) => void,
): Promise<{ readonly kept: ReadonlyMap<string, KeptData>; readonly left: readonly string[] }> {
  const found = new Map<string, KeptData>();
  // In what is no directory nothing is kept: whoever starts with data is told of it.
  const names = await readdir(dataDir).catch((error: unknown) => {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR')) return [];
    throw error;
  });
  for (const each of names.filter((name) => name.startsWith(keptPrefix))) {
    const path = join(dataDir, each);
    try {
      const { name, version, confirmed } = await readNote(path);
      const touched = await promises.access(join(path, 'touched')).then(() => true, whenMissing(false));
      found.set(name, { version, confirmed, touched });
    } catch (error) {
      unread(path, error);
    }
  }
  return { kept: found, left: names.filter((name) => name.startsWith(privatePrefix)) };
}

/** Takes it down. Rejects with what the system says. */
export async function sweepKeptData(dataDir: string, left: readonly string[]): Promise<void> {
  for (const name of left) await remove(dataDir, name);
}

export function createKeptData(ports: KeptDataPorts): KeptDataActs {
  const { dataDir, observe, tell } = ports;

  async function drop(name: string): Promise<void> {
    await putAside(ports, keptName(name));
    observe(name, null);
  }

  async function act(step: KeptDataStep, signal: AbortSignal): Promise<void> {
    const { name } = step;
    if (step.op === 'keep-data') {
      const { version, confirmed } = step;
      await keep(step, ports, signal);
      await ports.forgetBoot();
      observe(name, { version, confirmed, touched: false });
      tell({ type: 'data', container: name, what: 'kept' });
      return;
    }
    if (step.op === 'restore-data') await restore(name, ports);
    await drop(name);
    tell({ type: 'data', container: name, what: step.op === 'restore-data' ? 'restored' : 'dropped' });
  }

  return {
    part: partOf<KeptDataStep>(planKeptData, act),
    drop,
    async touch(name, touched) {
      const path = join(dataDir, keptName(name));
      const { version, confirmed } = await readNote(path);
      if (touched) await (await promises.open(join(path, 'touched'), 'a', 0o600)).close();
      else await promises.rm(join(path, 'touched'), { force: true });
      await syncDirectory(path);
      observe(name, { version, confirmed, touched });
    },
  };
}

/** Nobody writes there meanwhile: nothing of the name runs. */
async function keep(
  { name, version, confirmed }: Extract<KeptDataStep, { op: 'keep-data' }>,
  ports: KeptDataPorts,
  signal: AbortSignal,
): Promise<void> {
  const { dataDir, program, bounds } = ports;
  const making = privateName();
  const path = join(dataDir, making);
  try {
    const source = openedDirectory(join(dataDir, name));
    try {
      await promises.mkdir(path, { mode: 0o700 });
      if (source !== null) {
        refuseMount(source, dataDir);
        await copy(source, path, program, bounds, signal);
      }
    } finally {
      if (source !== null) closeSync(source);
    }
    const note: Note = { form, name, version, confirmed, empty: source === null };
    await (await prepareFile(join(path, 'note.json'), JSON.stringify(note))).commit();
    await syncDirectory(path);
    // One that could not be read is of no use.
    await putAside(ports, keptName(name));
    await promises.rename(path, join(dataDir, keptName(name)));
    await syncDirectory(dataDir);
  } catch (error) {
    await remove(dataDir, making).catch(ports.failed);
    if (signal.aborted) throw error;
    throw new TerminalError('DataNotKept', `the persistent data of ${name} cannot be kept: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** It could not be exchanged in one step. */
function refuseMount(source: number, dataDir: string): void {
  if (fstatSync(source).dev !== statSync(dataDir).dev) throw new Error('it is a mount of its own');
}

async function copy(
  source: number,
  path: string,
  program: string,
  bounds: TreeBounds,
  signal: AbortSignal,
): Promise<void> {
  for (const each of ['data', 'links']) await promises.mkdir(join(path, each), { mode: 0o700 });
  const opened: number[] = [];
  const open = (name: string): number => {
    const fd = openSync(join(path, name), O_RDONLY | O_DIRECTORY);
    opened.push(fd);
    return fd;
  };
  try {
    // Seldom, and nothing that a wake should load.
    const { copyTree } = await import('../../native/tree-copy.ts');
    await copyTree(program, { source, target: open('data'), links: open('links') }, bounds, signal);
  } finally {
    for (const fd of opened) closeSync(fd);
  }
  await remove(path, 'links');
}

/** Each step may be gone through again: what was kept goes back once, and is then no more where it was. */
async function restore(name: string, ports: KeptDataPorts): Promise<void> {
  const { dataDir } = ports;
  const path = join(dataDir, keptName(name));
  const { empty } = await readNote(path);
  const isThere = await promises.lstat(join(path, 'data')).then(() => true, whenMissing(false));
  if (!isThere && !empty) return;
  await putAside(ports, name);
  if (!isThere) return;
  await promises.rename(join(path, 'data'), join(dataDir, name));
  await syncDirectory(dataDir);
  await syncDirectory(path);
}

/** Takes it away in one step; what is in it goes meanwhile. */
async function putAside({ dataDir, failed }: KeptDataPorts, name: string): Promise<void> {
  const aside = privateName();
  const path = join(dataDir, name);
  const parent = openSync(dataDir, O_RDONLY | O_DIRECTORY);
  try {
    await despiteOwnFlags(parent, name, path, () => promises.rename(path, join(dataDir, aside)));
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return;
    throw error;
  } finally {
    closeSync(parent);
  }
  await syncDirectory(dataDir);
  remove(dataDir, aside).catch(failed);
}

function privateName(): string {
  return `${privatePrefix}${randomBytes(8).toString('hex')}`;
}

/** A name is not part of it, since that may be as long as a file's may be. */
function keptName(name: string): string {
  return `${keptPrefix}${hash('sha256', name).slice(0, 32)}`;
}

async function readNote(path: string): Promise<Note> {
  const found = JSON.parse(await promises.readFile(join(path, 'note.json'), 'utf8')) as Note;
  if (found.form !== form) throw new Error(`${path}: its form is not known`);
  return found;
}

/** Null when nothing is there. */
function openedDirectory(path: string): number | null {
  try {
    return openSync(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  } catch (error) {
    return whenMissing(null)(error);
  }
}

function whenMissing<T>(value: T): (error: unknown) => T {
  return (error) => {
    if (hasErrno(error, 'ENOENT')) return value;
    throw error;
  };
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await promises.open(path, O_RDONLY | O_DIRECTORY);
  await handle.sync().finally(() => handle.close());
}

async function remove(directory: string, name: string): Promise<void> {
  const parent = openSync(directory, O_RDONLY | O_DIRECTORY);
  await removeTree(parent, name, join(directory, name)).finally(() => closeSync(parent));
}
