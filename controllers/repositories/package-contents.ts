// What reading packages has given, kept in stateDir over boots: parsing them, and checking signatures, is most of what a boot
// without a plan computes.
//
// A package is known by its own bytes: by its length and the SHA-256 of every byte that its reading has looked at, which are read
// again. Reading is a function of these (and of the keys) alone, so whatever it would find out it has found out before; no
// time, inode or name of a file counts, and nothing of a package vouches for it. What is kept is the runtime's own word, as
// generations and boot plans are: it counts where the file and the way to it are root's, and only for the very build that wrote it.
import { hash } from 'node:crypto';
import { constants } from 'node:fs';
import { deserialize, serialize } from 'node:v8';
import type { Logger } from 'pino';
import type { FileBytes } from '../../src/npk/archive/bytes.ts';
import { messageOf } from '../../state/errno.ts';
import { openFile, removeFile } from '../../state/file/in-place.ts';
import { checkTrusted } from '../../state/file/trust.ts';
import { draftOf, writeAtomically } from '../../state/file/write-file.ts';
import type { PackageContent } from './repository.ts';

export interface PackageContents {
  /** What reading a file with these bytes gives, where one of the keys (SHA-256, hex; none: nothing is checked) has signed it. */
  find(bytes: FileBytes, keys: ReadonlySet<string>): Promise<PackageContent | null>;
  /** Takes in what reading a file has given. */
  add(bytes: FileBytes, content: PackageContent): void;
  /** All have been read: what is new is written down a while later. `present`: how many packages there are. */
  settle(present: number): void;
  /** Writes nothing any more. */
  close(): void;
}

/** What a reading has looked at, and what it has given. */
interface Known {
  /** Bytes of the file. */
  readonly size: number;
  /** Offset and length of each stretch that was read. */
  readonly stretches: readonly (readonly [offset: number, length: number])[];
  /** SHA-256 (hex) of them, one after the other. */
  readonly digest: string;
  readonly content: PackageContent;
}

interface Kept {
  readonly build: string;
  /** What was read last stands last. */
  readonly known: readonly Known[];
}

/** Packages of one length whose readings have looked at the same places. */
interface Group {
  readonly first: Known;
  readonly byDigest: ReadonlyMap<string, Known>;
}

export interface PackageContentsPorts {
  readonly file: string;
  /** Whose the file must be, beside root's. */
  readonly owner: number;
  /** Of the program: another one may understand the same bytes in another way. */
  readonly build: string;
  readonly log: Pick<Logger, 'debug'>;
}

/** ms until what is new is written: what else a start has to do goes first. */
const pause = 1000;
/** Packages that are kept besides as many as there are: such as are replaced and come back. */
const spare = 16;
const digestLength = 64;

/** Nothing is read before somebody asks, and none of it is kept in memory once `settle` has been called. */
export function openPackageContents({ file, owner, build, log }: PackageContentsPorts): PackageContents {
  let loading: Promise<readonly Known[]> | null = null;
  let groups: readonly Group[] | null = null;
  /** Read since the last writing, whether it was known before or not. */
  let seen = new Set<Known>();
  let isNew = false;
  /** How many packages there are; null as long as they are being read. */
  let present: number | null = null;
  let timer: NodeJS.Timeout | null = null;

  async function load(): Promise<readonly Known[]> {
    try {
      // A power cut may have left it.
      await removeFile(draftOf(file));
      await checkTrusted(file, owner);
      const text = await readWhole(file);
      const body = text.subarray(digestLength);
      if (text.toString('latin1', 0, digestLength) !== hash('sha256', body)) throw new Error('it is not whole');
      const kept = deserialize(body) as Kept;
      if (kept.build !== build) throw new Error('another build has written it');
      return kept.known;
    } catch (error) {
      log.debug({ file, reason: messageOf(error) }, 'nothing is known of packages from earlier boots');
      return [];
    }
  }

  async function grouped(): Promise<readonly Group[]> {
    loading ??= load();
    const known = await loading;
    groups ??= [...Map.groupBy(known, placesOf)].map(([, group]) => ({
      first: group[0] as Known,
      byDigest: new Map(group.map((one) => [one.digest, one])),
    }));
    return groups;
  }

  async function write(): Promise<void> {
    const latest = new Map<string, Known>();
    for (const one of [...(await (loading ?? load())), ...seen]) {
      const key = `${placesOf(one)} ${one.digest}`;
      latest.delete(key); // another place: what was read last stands last
      latest.set(key, one);
    }
    forget();
    const body = serialize({ build, known: [...latest.values()].slice(-((present ?? 0) + spare)) } satisfies Kept);
    await writeAtomically(file, Buffer.concat([Buffer.from(hash('sha256', body), 'latin1'), body]));
  }

  function forget(): void {
    loading = null;
    groups = null;
    seen = new Set();
    isNew = false;
  }

  return {
    async find(bytes, keys) {
      if (present !== null) return null;
      for (const { first, byDigest } of await grouped()) {
        if (first.size !== bytes.size) continue;
        const data: Buffer[] = [];
        for (const [offset, length] of first.stretches) data.push(await bytes.at(offset, length));
        const found = byDigest.get(digestOf(data));
        if (found === undefined) continue;
        if (keys.size === 0) return known(found, null);
        if (keys.has(found.content.signed?.by ?? '')) return known(found, found.content.signed);
      }
      return null;
    },
    add(bytes, content) {
      const read = bytes.stretches();
      const stretches = read.map(({ offset, data }) => [offset, data.length] as const);
      seen.add({ size: bytes.size, stretches, digest: digestOf(read.map(({ data }) => data)), content });
      isNew = true;
    },
    settle(count) {
      present = count;
      if (timer !== null) return;
      if (isNew) timer = setTimeout(begin, pause);
      else forget();
    },
    close() {
      if (timer !== null) clearTimeout(timer);
    },
  };

  function known(found: Known, signed: PackageContent['signed']): PackageContent {
    seen.add(found);
    return { ...found.content, signed };
  }

  function begin(): void {
    timer = null;
    write().catch((error: unknown) =>
      log.debug({ file, reason: messageOf(error) }, 'what was read of packages is not kept'),
    );
  }
}

async function readWhole(path: string): Promise<Buffer> {
  const file = await openFile(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    return Buffer.from(await file.readAll());
  } finally {
    await file.close();
  }
}

function placesOf({ size, stretches }: Known): string {
  return `${size} ${stretches.join(' ')}`;
}

function digestOf(data: readonly Buffer[]): string {
  return hash('sha256', Buffer.concat(data));
}
