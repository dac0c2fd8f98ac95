// A package from a server into a file: what is here already is taken from there, the rest is asked for by ranges. The result is the
// package byte for byte.
import type { FileHandle } from 'node:fs/promises';
import type { Fetched, FetchProgress, PackageContent } from '../../controllers/repositories/repository.ts';
import type { HashTree } from '../../state/observed.ts';
import { createHasher, type Hasher } from '../npk/image/hasher.ts';
import { readLeaves } from '../npk/image/verify-image.ts';
import { readContent, readLayout, type Layout } from '../npk/open-package.ts';
import { PackageError } from '../npk/package-error.ts';
import { findDelta, type Delta } from './delta/apply-delta.ts';
import {
  type Donor,
  copyBlocks,
  hasArrived,
  keepArrived,
  offerDonors,
  recall,
  repeatBlocks,
  withDonors,
  writeAll,
} from './block-copy.ts';
import { messageOf } from '../../state/errno.ts';
import { FetchError } from './fetch-error.ts';
import type { Http } from './http.ts';
import { fetchMissing, missingLength } from './missing-blocks.ts';
import { remoteBytes, type RemoteBytes } from './remote-bytes.ts';
import { openRemoteFile, type RemoteFile, type TellWaits } from './remote-file.ts';
import { wantedBlocks, type WantedBlocks } from './wanted-blocks.ts';

export interface FetchOptions {
  /** Installed packages to take blocks from; of the same container as a rule. */
  readonly donors: readonly string[];
  readonly signal: AbortSignal;
  /** Told what could not be used of what is here, and why. */
  readonly skipped: (message: string) => void;
  readonly tellWaits?: TellWaits;
}

export interface PackageFetch {
  /** Of the package, in bytes. */
  readonly size: number;
  /** Bytes that have come so far, and requests. */
  readonly cost: { readonly bytes: number; readonly requests: number };
  /** How many bytes would be fetched, those included that have come. */
  estimate(): Promise<number>;
  /** What it holds, as it says itself. Rejects with a PackageError, or when the server gives no parts of it. */
  inspect(): Promise<PackageContent>;
  /**
   * Puts the package into a file, which is open for reading and writing and may hold what an earlier attempt has left.
   * Rejects with FetchError or PackageError when the server's bytes are none, or another package meanwhile, or with what the
   * file gives; then the file holds what came. `keep` is told of the progress that can be taken up from, and is waited for.
   */
  into: Fetched['into'];
  close(): Promise<void>;
}

/** The end of a package that the first request asks for: the tree of 16 MB, or all of a package that is so small. */
const firstTail = 128 * 1024;
/** A tree is held in memory: 64 MiB are those of an image of 8 GiB. */
const largestTree = 64 * 1024 * 1024;
/** Bytes that must be missing for a delta to be asked for: two requests that nobody may answer. */
const worthADelta = 64 * 1024;
/** Bytes between two notes of progress. */
const noteSize = 8 * 1024 * 1024;

/** Asks the server what there is. Rejects with FetchError. */
export async function openFetch(http: Http, url: URL, options: FetchOptions): Promise<PackageFetch> {
  const { signal } = options;
  const remote = await openRemoteFile(http, url, firstTail, signal, options.tellWaits);
  let known: Promise<InBlocks | null> | null = null;
  const hashers = new AsyncDisposableStack();
  let hasher: Hasher | null = null;
  const threads = (): Hasher => (hasher ??= hashers.use(createHasher()));

  /** Null where blocks cannot be told apart: no tree, no ranges, or not worth it. */
  const layout = (): Promise<InBlocks | null> => (known ??= readBlocks(remote));

  async function inBlocks(file: FileHandle, { bytes, image, tree }: InBlocks): Promise<void> {
    const end = image.offset + tree.superblockOffset;
    await file.truncate(remote.size);
    await writeAll(file, await bytes.load({ from: end, to: remote.size }), end);
    await writeAll(file, await bytes.load({ from: 0, to: image.offset }), 0);
    const leaves = await readLeaves(bytes.at, image, tree);
    const wanted = wantedBlocks(leaves, tree.salt);
    const offer = { salt: tree.salt, hasher: threads(), signal, skipped: options.skipped };
    await recall(file, image.offset, wanted, leaves, offer);
    await keepArrived(file, image.offset, wanted, bytes.parts);
    await withDonors(options, async (donors) => {
      await offerDonors(donors, wanted, offer);
      await copyBlocks(donors, file, image.offset, wanted, signal);
      await repeatBlocks(file, image.offset, wanted, signal);
      await takeDelta(file, { tree, image, wanted, donors });
    });
    await fetchMissing({ file, offset: image.offset, wanted }, remote);
    await repeatBlocks(file, image.offset, wanted, signal);
  }

  /** A delta that somebody made, when it is smaller than the blocks that `isHere` says are missing; without one they are asked for. */
  async function findCheaper(
    { tree, wanted, donors }: Pick<InBlocks, 'tree'> & { wanted: WantedBlocks; donors: readonly Donor[] },
    isHere: (block: number) => boolean,
  ): Promise<Delta | null> {
    const missing = missingLength(wanted, isHere);
    if (missing < worthADelta) return null;
    const delta = await unlessSpoilt(findDelta(http, url, tree, donors, signal));
    if (delta === null || delta.cost(wanted) < missing) return delta;
    delta.close();
    return null;
  }

  async function takeDelta(
    file: FileHandle,
    given: Pick<InBlocks, 'tree' | 'image'> & { wanted: WantedBlocks; donors: readonly Donor[] },
  ): Promise<void> {
    const delta = await findCheaper(given, given.wanted.has);
    if (delta === null) return;
    await unlessSpoilt(delta.into(file, given.image.offset, given.wanted).finally(delta.close));
  }

  /** Null for what has failed, which is told: there is another way. */
  async function unlessSpoilt<T>(work: Promise<T>): Promise<T | null> {
    try {
      return await work;
    } catch (error) {
      signal.throwIfAborted();
      options.skipped(messageOf(error));
      return null;
    }
  }

  /** From the start to the end, or from where an earlier attempt of this very file has come to. */
  async function whole(file: FileHandle, earlier: FetchProgress | null, keep: Parameters<Fetched['into']>[2]) {
    const { size, validator, tail } = remote;
    const isSame = earlier !== null && earlier.validator === validator && earlier.size === size && remote.ranges;
    let at = isSame ? Math.min(earlier.synced, size - tail.length) : 0;
    let noted = at;
    await file.truncate(at);
    for await (const chunk of remote.read(at, size - tail.length)) {
      await writeAll(file, chunk, at);
      at += chunk.length;
      if (at - noted < noteSize || validator === null) continue;
      await file.datasync();
      noted = at;
      await keep({ validator, size, synced: at });
    }
    await writeAll(file, tail, size - tail.length);
  }

  /** What `into` asks for with an empty file. */
  async function missing({ bytes, image, tree }: InBlocks): Promise<number> {
    const wanted = wantedBlocks(await readLeaves(bytes.at, image, tree), tree.salt);
    const hasCome = hasArrived(image.offset, bytes.parts);
    const isHere = (block: number): boolean => wanted.place(block) !== null || hasCome(block);
    return await withDonors(options, async (donors) => {
      await offerDonors(donors, wanted, { salt: tree.salt, hasher: threads(), signal, skipped: options.skipped });
      const delta = await findCheaper({ tree, wanted, donors }, isHere);
      delta?.close();
      return remote.cost.bytes + (delta?.cost(wanted) ?? missingLength(wanted, isHere));
    });
  }

  return {
    size: remote.size,
    cost: remote.cost,
    async estimate() {
      const found = await layout();
      return found === null ? remote.size : await missing(found);
    },
    async inspect() {
      if (!remote.ranges) throw new FetchError('final', `${remote.name}: the server gives no parts of it to look at`);
      const bytes = (await layout())?.bytes ?? remoteBytes(remote);
      const { manifest, image } = await readContent(bytes, null);
      const { read, defects, logs } = manifest;
      return { name: read.name, version: read.version, manifest: read, defects, logs, image, signed: null };
    },
    async into(file, earlier, keep) {
      const found = await layout();
      if (found === null) await whole(file, earlier, keep);
      else await inBlocks(file, found);
    },
    async close() {
      remote.close();
      await hashers.disposeAsync();
    },
  };
}

/** A package that can be put together block by block. */
interface InBlocks extends Layout {
  readonly tree: HashTree;
  readonly bytes: RemoteBytes;
}

async function readBlocks(remote: RemoteFile): Promise<InBlocks | null> {
  if (!remote.ranges || remote.tail.length === remote.size) return null;
  const bytes = remoteBytes(remote);
  try {
    const { image, tree } = await readLayout(bytes);
    const isLarge = tree === null || remote.size - image.offset - tree.superblockOffset > largestTree;
    if (isLarge) return null;
    await bytes.load({ from: image.offset + tree.superblockOffset, to: remote.size });
    return { bytes, image, tree };
  } catch (error) {
    // It is fetched whole, and refused then with the reason that any package is refused with.
    if (error instanceof PackageError) return null;
    throw error;
  }
}
