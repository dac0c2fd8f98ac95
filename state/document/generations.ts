// The stored generations: one file each, never rewritten, the newest with all that a start needs instead of its YAML.
import { mkdir, readFile, readdir, unlink } from 'node:fs/promises';
import { hash } from 'node:crypto';
import { join } from 'node:path';
import { sameLock } from './lock.ts';
import { decodeDesired, encodeDesired, encodeTree } from './encoding.ts';
import type { Locked } from '../store.ts';
import { toJson } from '../store.ts';
import { toTree, type Tree } from '../text/tree.ts';
import type { Desired } from '../desired.ts';
import { prepareFile, type PreparedFile } from '../file/write-file.ts';
import { ifMissing } from '../errno.ts';

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
}

export interface Generation extends Summary {
  readonly text: string;
  readonly endMark: boolean;
  /**
   * The hash of what the file held when this was put into force without being written to it, '' = there was no file; null: it
   * is what the file held.
   */
  readonly besides: string | null;
  /** The first of the console's patches that were folded into this one; ms since the epoch. */
  readonly since: number;
  readonly lock: ReadonlyMap<string, Locked>;
  readonly tree: Tree;
  readonly desired: Desired;
}

export interface Generations {
  /** Numbers and kinds of what is stored, oldest first. */
  list(): readonly { readonly generation: number; readonly kind: Kind }[];
  /** Reads one, with the last lock that was stored for it; null when it is not stored or cannot be understood. */
  read(generation: number): Promise<Generation | null>;
  /** Writes one to the disk; with `commit` it is stored for good and what is no longer kept goes. */
  prepare(generation: Generation): Promise<PreparedFile>;
  /** Stores what the requirements of a generation were resolved to, once more of them are. */
  writeLock(generation: number, lock: ReadonlyMap<string, Locked>): Promise<void>;
}

const KEPT = 20;
const FOLD = 1000;
const FILE = /^(\d{10})-(file|apply|console)\.json$/;

export const SCHEMA = 'northstate/v1';

/** SHA-256 (hex) of a text. */
export function hashText(text: string): string {
  return hash('sha256', text);
}

/** Opens the generations stored in a directory, which is made when it is missing. `warn` is told about unreadable ones. */
export async function openGenerations(
  directory: string,
  warn: (fields: object, message: string) => void,
): Promise<Generations> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const names = await readdir(directory);
  // What a crash has left half written.
  for (const name of names) if (name.endsWith('.new')) await unlink(join(directory, name));
  let index = names
    .map((name) => FILE.exec(name))
    .flatMap((found) => (found === null ? [] : [{ generation: Number(found[1]), kind: found[2] as Kind }]))
    .sort((a, b) => a.generation - b.generation);
  let newest: Generation | null = null;

  const pathOf = (generation: number, kind: Kind): string => join(directory, `${padded(generation)}-${kind}.json`);
  const lockPath = (generation: number): string => join(directory, `${padded(generation)}-lock.json`);

  const read = async (generation: number): Promise<Generation | null> => {
    const found = index.find((one) => one.generation === generation);
    if (found === undefined) return null;
    const path = pathOf(found.generation, found.kind);
    try {
      const stored = decodeGeneration(await readFile(path, 'utf8'));
      const lock = await readFile(lockPath(generation), 'utf8').then(decodeLock, ifMissing);
      const whole = { ...stored, lock: lock ?? stored.lock };
      if (found === index.at(-1)) newest = whole;
      return whole;
    } catch (error) {
      warn({ err: error, path }, 'a stored generation cannot be read');
      return null;
    }
  };

  const remove = async (gone: (typeof index)[number]): Promise<void> => {
    index = index.filter((one) => one !== gone);
    await unlink(pathOf(gone.generation, gone.kind)).catch(ifMissing);
    await unlink(lockPath(gone.generation)).catch(ifMissing);
  };

  return {
    list: () => index,
    read,
    async prepare(generation) {
      const last = index.at(-1);
      const folds = folded(newest, generation) && last?.generation === newest?.generation;
      const stored = folds && newest !== null ? { ...generation, since: newest.since } : generation;
      const file = await prepareFile(pathOf(stored.generation, stored.kind), await encodeGeneration(stored));
      return {
        async commit() {
          await file.commit();
          newest = stored;
          index = [...index, { generation: stored.generation, kind: stored.kind }];
          if (folds && last !== undefined) await remove(last);
          const consoles = index.filter(({ kind }) => kind === 'console');
          const others = index.filter(({ kind }) => kind !== 'console');
          const old = [...consoles.slice(0, -KEPT), ...others.slice(0, -KEPT)];
          for (const one of old) if (one.generation !== stored.generation) await remove(one);
        },
        discard: () => file.discard(),
      };
    },
    async writeLock(generation, lock) {
      await (await prepareFile(lockPath(generation), JSON.stringify(toJson(lock)))).commit();
    },
  };
}

/** A console patch that follows another within a second replaces it in the history. */
function folded(before: Generation | null, next: Generation): boolean {
  const gap = before === null ? FOLD : next.time - before.since;
  return before?.kind === 'console' && next.kind === 'console' && gap >= 0 && gap < FOLD && !isRelocked(before, next);
}

/** The one before is still asked for: by the versions that it had. */
function isRelocked(before: Generation, next: Generation): boolean {
  return [...before.lock].some(([key, was]) => next.lock.has(key) && !sameLock(was, next.lock.get(key)));
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
    'besides' | 'lock' | 'tree' | 'desired'
  > & {
    /** Generations of earlier versions do not say it. */
    readonly besides?: string | null;
    readonly hash: string;
    readonly lock: Readonly<Record<string, Locked>>;
    readonly tree: unknown;
    readonly desired: unknown;
  };
  if (hash !== hashText(plain.text)) throw new Error('its text has another hash than was stored');
  const { besides = null } = plain;
  return {
    ...plain,
    besides,
    lock: new Map(Object.entries(lock)),
    tree: toTree(tree),
    desired: decodeDesired(desired),
  };
}

function decodeLock(json: string): ReadonlyMap<string, Locked> {
  return new Map(Object.entries(JSON.parse(json) as Readonly<Record<string, Locked>>));
}
