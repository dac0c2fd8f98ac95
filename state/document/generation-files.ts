// Generations as files of one directory. Each is written once: NUMBER-KIND.json is a whole one, NUMBER-KIND-of-BASE.json says
// what it says more than the whole one BASE. NUMBER-lock.json lies beside it. A whole one that is kept for patches of it alone is
// NUMBER-base.json. A patch is never of a patch: whatever is read takes two files at most.
import type { PreparedFile } from '../file/write-file.ts';
import { ifMissing } from '../errno.ts';
import { toJson } from '../store.ts';
import { bootDirectory, generationDirectory, type GenerationDirectory } from './generation-directory.ts';
import { decodeLock, decodePatch, decodeWhole, encodePatch, encodeWhole, summaryOfPatch } from './generation-text.ts';
import { summaryOf, type Generation, type Kind, type Summary } from './generation.ts';
import type { Lock } from './lock.ts';

/** A generation that has a file. */
export interface Stored {
  readonly generation: number;
  readonly kind: Kind;
  /** The whole one that it is a patch of; null: it is whole itself. */
  readonly of: number | null;
}

export interface PreparedGeneration extends PreparedFile {
  readonly stored: Stored;
}

/** Every function but `path` rejects with the errno. */
export interface GenerationFiles {
  readonly directory: string;
  /** What is stored, oldest first. Makes the directory when it is missing. */
  list(): Promise<readonly Stored[]>;
  /** With the last lock that was stored for it. Rejects without an errno when what is stored is none. */
  read(stored: Stored): Promise<Generation>;
  summary(stored: Stored): Promise<Summary>;
  /** Writes one beside its place. */
  prepare(generation: Generation): Promise<PreparedGeneration>;
  writeLock(generation: number, lock: Lock): Promise<void>;
  remove(stored: Stored): Promise<void>;
  path(stored: Stored): string;
  /** Why nothing can be stored; null = it can. What a crash has left half written is taken away. */
  refuses(): Promise<string | null>;
}

/** When generations are stored as patches. */
export interface PatchTerms {
  /** Bytes of a whole one from which on a patch of it is worth the second file. */
  readonly least: number;
  /** Bytes up to which a patch may be as long as it is, and which part of the whole one from there on. */
  readonly longest: number;
  readonly part: number;
  /** Asked before the first one: whether versions of the runtime that do not understand patches keep off from now on. */
  readonly announced: () => Promise<boolean>;
}

/**
 * Patches add up to no more than wholes as long as each is short: the best length is the root of twice the length of the whole
 * times that of one change, of 500 entries some 30 kB. Small documents are read by every version.
 */
export const patchTerms = { least: 32 << 10, longest: 8 << 10, part: 16 } as const;

const never: PatchTerms = { ...patchTerms, announced: () => Promise.resolve(false) };

const FILE = /^(\d{10})-(?:(base)|(file|apply|console)(?:-of-(\d{10}))?)\.json$/;

interface Piece {
  readonly name: string;
  readonly generation: number;
  /** Null: it is kept for patches of it alone. */
  readonly kind: Kind | null;
  readonly of: number | null;
}

/** The whole one that patches are made of, as its file says it. */
interface Base {
  readonly generation: Generation;
  readonly name: string;
  readonly bytes: number;
}

/** `lasting`: writes survive a power cut; else they do not wait for a disk. */
export function generationFiles(path: string, lasting: boolean, terms: PatchTerms = never): GenerationFiles {
  return filesIn(generationDirectory(path, lasting), terms);
}

/** The files of this boot, below a directory in which nothing of another boot stays. */
export function bootFiles(above: string, bootId: string, terms: PatchTerms = never): GenerationFiles {
  return filesIn(bootDirectory(above, bootId), terms);
}

/** Generations in a directory. */
export function filesIn(directory: GenerationDirectory, terms: PatchTerms): GenerationFiles {
  let base: Base | null = null;
  let announced = false;

  const pieces = async (): Promise<readonly Piece[]> => (await directory.names()).flatMap(pieceOf);

  async function isThere({ name, bytes }: Base): Promise<boolean> {
    return (await directory.size(name)) === bytes;
  }

  /** Reads a whole one; the newest is the one that the next patches are of. */
  async function readWhole(name: string): Promise<Generation> {
    const text = await directory.read(name);
    const generation = decodeWhole(text);
    if (base === null || base.generation.generation < generation.generation)
      base = { generation, name, bytes: Buffer.byteLength(text) };
    return generation;
  }

  async function baseOf(number: number): Promise<Generation> {
    if (base?.generation.generation === number && (await isThere(base))) return base.generation;
    const found = (await pieces()).find(({ generation, of }) => generation === number && of === null);
    return await readWhole(found?.name ?? nameOf({ generation: number, kind: null, of: null }));
  }

  /** Null: it is stored whole. */
  async function patchOf(generation: Generation): Promise<{ readonly text: string; readonly of: number } | null> {
    if (base === null || base.bytes < terms.least) return null;
    const { generation: whole, bytes } = base;
    // What another version has made of its text is not what this one makes of it.
    if (whole.runtime !== generation.runtime || whole.schema !== generation.schema) return null;
    const text = encodePatch(whole, generation);
    if (text === null || text.length > Math.max(terms.longest, bytes / terms.part)) return null;
    if (whole.generation === generation.generation || !(await isThere(base))) return null;
    announced ||= await terms.announced();
    return announced ? { text, of: whole.generation } : null;
  }

  /** Takes away what is there of a generation; a whole one stays where patches are of it, under another name. */
  async function removeWhole(piece: Piece, others: readonly Piece[]): Promise<void> {
    if (others.some(({ of }) => of === piece.generation)) {
      const name = nameOf({ ...piece, kind: null });
      await directory.rename(piece.name, name);
      if (base?.name === piece.name) base = { ...base, name };
    } else await directory.remove(piece.name);
  }

  return {
    directory: directory.path,
    path: (stored) => `${directory.path}/${nameOf(stored)}`,
    async list() {
      const found = new Map<number, Stored>();
      for (const { generation, kind, of } of await pieces())
        if (kind !== null && (of === null || !found.has(generation))) found.set(generation, { generation, kind, of });
      return [...found.values()].sort((a, b) => a.generation - b.generation);
    },
    async read(stored) {
      const { of } = stored;
      const name = nameOf(stored);
      const found = of === null ? await readWhole(name) : decodePatch(await directory.read(name), await baseOf(of));
      const lock = await directory.read(lockName(stored.generation)).then(decodeLock, ifMissing);
      return { ...found, lock: lock ?? found.lock };
    },
    async summary(stored) {
      const { of } = stored;
      const text = await directory.read(nameOf(stored));
      if (of === null) return summaryOf(decodeWhole(text));
      if ((await pieces()).some((piece) => piece.generation === of && piece.of === null)) return summaryOfPatch(text);
      throw new Error(`generation ${of}, which it is a patch of, is missing`);
    },
    async prepare(generation) {
      const { generation: number, kind } = generation;
      const patch = await patchOf(generation);
      const stored = { generation: number, kind, of: patch?.of ?? null };
      const text = patch?.text ?? (await encodeWhole(generation));
      const name = nameOf(stored);
      const file = await directory.prepare(name, text);
      return {
        stored,
        async commit() {
          await file.commit();
          if (patch === null) base = { generation, name, bytes: Buffer.byteLength(text) };
        },
        discard: () => file.discard(),
      };
    },
    async writeLock(generation, lock) {
      await (await directory.prepare(lockName(generation), JSON.stringify(toJson(lock)))).commit();
    },
    async remove({ generation }) {
      const all = await pieces();
      const own = all.filter((piece) => piece.generation === generation && piece.kind !== null);
      const others = all.filter((piece) => !own.includes(piece));
      for (const piece of own) await (piece.of === null ? removeWhole(piece, others) : directory.remove(piece.name));
      await directory.remove(lockName(generation));
      const unneeded = (piece: Piece): boolean =>
        piece.kind === null && !others.some(({ of }) => of === piece.generation);
      for (const { name } of others.filter(unneeded)) await directory.remove(name);
    },
    refuses: () => directory.refuses(),
  };
}

function pieceOf(name: string): Piece[] {
  const found = FILE.exec(name);
  if (found === null) return [];
  const [, number, , kind, of] = found;
  return [
    {
      name,
      generation: Number(number),
      kind: (kind as Kind | undefined) ?? null,
      of: of === undefined ? null : Number(of),
    },
  ];
}

function nameOf({ generation, kind, of }: Omit<Piece, 'name'>): string {
  return `${padded(generation)}-${kind ?? 'base'}${of === null ? '' : `-of-${padded(of)}`}.json`;
}

function lockName(generation: number): string {
  return `${padded(generation)}-lock.json`;
}

function padded(generation: number): string {
  return String(generation).padStart(10, '0');
}
