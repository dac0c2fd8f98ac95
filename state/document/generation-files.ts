// Generations as files of one directory: NUMBER-KIND.json, written once, and NUMBER-lock.json beside it.
import { hash } from 'node:crypto';
import { constants, promises } from 'node:fs';
import { dirname, join } from 'node:path';
import { decodeDesired, encodeDesired, encodeTree } from './encoding.ts';
import { ifMissing, messageOf } from '../errno.ts';
import type { Locked } from '../store.ts';
import { toJson } from '../store.ts';
import { toTree, type Tree } from '../text/tree.ts';
import type { Desired } from '../desired.ts';
import { access, makeDirectory, readText, readdir } from '../file/in-place.ts';
import { prepareFile, writeAtomically, type PreparedFile } from '../file/write-file.ts';

/** Who made a generation: an edit of the file, `apply` (and rollback), or a console command. */
export type Kind = 'file' | 'apply' | 'console';

/** What `history` shows of a generation. */
export interface Summary {
  readonly generation: number;
  readonly kind: Kind;
  readonly origin: string;
  /** ms since the epoch. */
  readonly time: number;
  readonly schema: string;
  /** Version of the runtime that stored it. */
  readonly runtime: string;
  /** Somebody has had it go on over what stood against it. */
  readonly forced: boolean;
}

export interface Generation extends Summary {
  readonly text: string;
  readonly endMark: boolean;
  /** What signs the text, where that is not in it. */
  readonly signature: string | null;
  /**
   * The hash of what the file held when this was put into force without being written to it, '' = there was no file; null: it
   * is what the file held.
   */
  readonly besides: string | null;
  /** The first of the console's patches that were folded into this one; ms since the epoch. */
  readonly since: number;
  /** The confirmed generation that it goes back to, where it was on trial when it was stored; null: it was not. */
  readonly trial: number | null;
  readonly lock: ReadonlyMap<string, Locked>;
  readonly tree: Tree;
  readonly desired: Desired;
}

/** What a summary has, and no more. */
export function summaryOf({ generation, kind, origin, time, schema, runtime, forced }: Summary): Summary {
  return { generation, kind, origin, time, schema, runtime, forced };
}

/** A generation that has a file. */
export interface Stored {
  readonly generation: number;
  readonly kind: Kind;
}

/** Every function but `path` rejects with the errno. */
export interface GenerationFiles {
  readonly directory: string;
  /** What is stored, oldest first. Makes the directory when it is missing. */
  list(): Promise<readonly Stored[]>;
  /** With the last lock that was stored for it. Rejects without an errno when what is stored is none. */
  read(stored: Stored): Promise<Generation>;
  /** Writes one beside its place. */
  prepare(generation: Generation): Promise<PreparedFile>;
  writeLock(generation: number, lock: ReadonlyMap<string, Locked>): Promise<void>;
  remove(stored: Stored): Promise<void>;
  path(stored: Stored): string;
  /** Why nothing can be stored; null = it can. What a crash has left half written is taken away. */
  refuses(): Promise<string | null>;
}

const FILE = /^(\d{10})-(file|apply|console)\.json$/;

/** `lasting`: writes survive a power cut; else they do not wait for a disk. */
export function generationFiles(directory: string, lasting: boolean): GenerationFiles {
  const path = ({ generation, kind }: Stored): string => join(directory, `${padded(generation)}-${kind}.json`);
  const lockPath = (generation: number): string => join(directory, `${padded(generation)}-lock.json`);

  const prepare = async (at: string, text: string): Promise<PreparedFile> => {
    if (lasting) return await prepareFile(at, text);
    return { commit: () => writeAtomically(at, text), discard: () => Promise.resolve() };
  };

  return {
    directory,
    path,
    async list() {
      await makeDirectory(directory, 0o700).catch(obstacleAbove(directory));
      return (await readdir(directory))
        .map((name) => FILE.exec(name))
        .flatMap((found) => (found === null ? [] : [{ generation: Number(found[1]), kind: found[2] as Kind }]))
        .sort((a, b) => a.generation - b.generation);
    },
    async read(stored) {
      const found = decodeGeneration(await readText(path(stored)));
      const lock = await readText(lockPath(stored.generation)).then(decodeLock, ifMissing);
      return { ...found, lock: lock ?? found.lock };
    },
    prepare: async (generation) => await prepare(path(generation), await encodeGeneration(generation)),
    async writeLock(generation, lock) {
      await (await prepare(lockPath(generation), JSON.stringify(toJson(lock)))).commit();
    },
    async remove(stored) {
      await promises.unlink(path(stored)).catch(ifMissing);
      await promises.unlink(lockPath(stored.generation)).catch(ifMissing);
    },
    async refuses() {
      try {
        await access(directory, constants.W_OK);
        for (const name of await readdir(directory))
          if (name.endsWith('.new')) await promises.unlink(join(directory, name));
        return null;
      } catch (error) {
        return messageOf(error);
      }
    },
  };
}

/** The files of this boot, below a directory in which nothing of another boot stays. */
export function bootFiles(above: string, bootId: string): GenerationFiles {
  const files = generationFiles(join(above, bootId), false);
  return {
    ...files,
    async list() {
      await makeDirectory(above, 0o700);
      for (const name of await readdir(above))
        if (name !== bootId) await promises.rm(join(above, name), { recursive: true });
      return await files.list();
    },
  };
}

/** mkdir(2) through Node says ENOENT of a read-only disk: the directory above says what is in the way. */
function obstacleAbove(directory: string): (error: unknown) => Promise<never> {
  return async (error) => {
    await access(dirname(directory), constants.W_OK);
    throw error;
  };
}

/** SHA-256 (hex) of a text. */
export function hashText(text: string): string {
  return hash('sha256', text);
}

function padded(generation: number): string {
  return String(generation).padStart(10, '0');
}

async function encodeGeneration({ tree, desired, lock, ...plain }: Generation): Promise<string> {
  const head = JSON.stringify({ ...plain, hash: hashText(plain.text), lock: toJson(lock) });
  return `${head.slice(0, -1)},"tree":${await encodeTree(tree)},"desired":${await encodeDesired(desired)}}`;
}

function decodeGeneration(json: string): Generation {
  const { hash, lock, tree, desired, ...plain } = JSON.parse(json) as Omit<
    Generation,
    'besides' | 'signature' | 'forced' | 'trial' | 'lock' | 'tree' | 'desired'
  > & {
    /** Generations of earlier versions do not say it. */
    readonly besides?: string | null;
    readonly signature?: string | null;
    readonly forced?: boolean;
    readonly trial?: number | null;
    readonly hash: string;
    readonly lock: Readonly<Record<string, Locked>>;
    readonly tree: unknown;
    readonly desired: unknown;
  };
  if (hash !== hashText(plain.text)) throw new Error('its text has another hash than was stored');
  const { besides = null, signature = null, forced = false, trial = null } = plain;
  return {
    ...plain,
    ...{ besides, signature, forced, trial },
    lock: new Map(Object.entries(lock)),
    tree: toTree(tree),
    desired: decodeDesired(desired),
  };
}

function decodeLock(json: string): ReadonlyMap<string, Locked> {
  return new Map(Object.entries(JSON.parse(json) as Readonly<Record<string, Locked>>));
}
