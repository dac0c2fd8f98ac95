// Taking a delta file from a server: each part is fetched, decoded against its range of the installed image, and hashed block by
// block on its way into the file. One that is wrong in any way costs its bytes and nothing else.
import type { FileHandle } from 'node:fs/promises';
import { promisify } from 'node:util';
import { constants, zstdDecompress, type ZstdOptions } from 'node:zlib';
import type { HashTree } from '../../../state/observed.ts';
import { VERITY_BLOCK } from '../../npk/image/verity.ts';
import { readFrom } from '../../npk/image/verify-image.ts';
import { keepRight, type Donor } from '../block-copy.ts';
import { FetchError } from '../fetch-error.ts';
import type { Http } from '../http.ts';
import { openRemoteFile, type RemoteFile } from '../remote-file.ts';
import { batchBlocks, type WantedBlocks } from '../wanted-blocks.ts';
import {
  deltaName,
  headerLength,
  longestHeader,
  prefixSize,
  readHeader,
  windowLog,
  type DeltaPart,
} from './delta-format.ts';

const decompress = promisify(
  zstdDecompress as (data: Buffer, options: ZstdOptions, done: (error: Error | null, result: Buffer) => void) => void,
);

/** A frame that asks for a larger window than `delta` makes is refused: the decoder would take the memory. */
const params = { [constants.ZSTD_d_windowLogMax]: windowLog };

/** A delta that is there, and what it would cost. */
export interface Delta {
  /** Bytes of the frames whose parts are not whole yet. */
  cost(wanted: WantedBlocks): number;
  /** Puts what it makes into the file. Rejects with an Error when it does not make the image that is wanted. */
  into(file: FileHandle, imageOffset: number, wanted: WantedBlocks): Promise<void>;
  /** Ends what is under way. */
  close(): void;
}

/** Looks for a delta that leads from one of the donors to the image; null when there is none that can be one. */
export async function findDelta(
  http: Http,
  packageUrl: URL,
  tree: HashTree,
  donors: readonly Donor[],
  signal: AbortSignal,
): Promise<Delta | null> {
  for (const donor of donors) {
    const root = donor.layout.tree?.rootHash;
    if (root === undefined || root === tree.rootHash) continue;
    const url = new URL(deltaName(root, tree.rootHash), packageUrl);
    url.search = packageUrl.search;
    const found = await openDelta(http, url, { donor, tree, signal });
    if (found !== null) return found;
  }
  return null;
}

async function openDelta(
  http: Http,
  url: URL,
  { donor, tree, signal }: { readonly donor: Donor; readonly tree: HashTree; readonly signal: AbortSignal },
): Promise<Delta | null> {
  const oldData = (donor.layout.tree?.dataBlocks ?? 0) * VERITY_BLOCK;
  const remote = await openRemoteFile(http, url, 1, signal).catch((error: unknown) => {
    // Nobody made one.
    if (error instanceof FetchError && error.fault === 'final') return null;
    throw error;
  });
  if (remote === null) return null;
  const known = await headerOf(remote);
  const fits =
    known !== null &&
    known.header.new === tree.rootHash &&
    known.header.old === donor.layout.tree?.rootHash &&
    known.header.size === tree.dataBlocks * VERITY_BLOCK &&
    known.parts.every(
      ({ range, frame }) => range.from + range.length <= oldData && frame.from + frame.length <= remote.size,
    );
  if (!fits) {
    remote.close();
    return null;
  }
  const { parts } = known;
  const left = (wanted: WantedBlocks): DeltaPart[] => parts.filter((part) => !isWhole(part, wanted));

  return {
    close: remote.close,
    cost: (wanted) => left(wanted).reduce((sum, { frame }) => sum + frame.length, 0),
    async into(file, imageOffset, wanted) {
      const read = readFrom(donor.handle);
      for (const part of left(wanted)) {
        signal.throwIfAborted();
        const { range, frame } = part;
        const dictionary = await read(donor.layout.image.offset + range.from, range.length);
        const packed = await bytesOf(remote, frame.from, frame.from + frame.length);
        const data = await decompress(packed, { dictionary, maxOutputLength: part.length, params });
        if (data.length !== part.length)
          throw new Error(`${remote.name}: a part has ${data.length} bytes instead of ${part.length}`);
        await keepPart(file, imageOffset, wanted, { part, data });
      }
    },
  };
}

function isWhole({ to, length }: DeltaPart, wanted: WantedBlocks): boolean {
  const first = to / VERITY_BLOCK;
  for (let block = first; block < first + length / VERITY_BLOCK; block++) if (!wanted.has(block)) return false;
  return true;
}

/** A batch at a time, so that hashing does not hold the loop. */
async function keepPart(
  file: FileHandle,
  imageOffset: number,
  wanted: WantedBlocks,
  { part, data }: { readonly part: DeltaPart; readonly data: Buffer },
): Promise<void> {
  const size = batchBlocks * VERITY_BLOCK;
  for (let at = 0; at < data.length; at += size) {
    const first = (part.to + at) / VERITY_BLOCK;
    const wrong = await keepRight(file, imageOffset, wanted, { first, data: data.subarray(at, at + size) });
    if (wrong !== null) throw new Error(`the delta makes another block ${wrong} than its hash tree has`);
  }
}

async function headerOf(remote: RemoteFile): Promise<ReturnType<typeof readHeader>> {
  if (!remote.ranges || remote.size <= prefixSize) return null;
  const head = await bytesOf(remote, 0, Math.min(remote.size, prefixSize + 4096));
  const length = headerLength(head);
  if (length === null || prefixSize + length > Math.min(remote.size, prefixSize + longestHeader)) return null;
  const end = prefixSize + length;
  const text = end <= head.length ? head : Buffer.concat([head, await bytesOf(remote, head.length, end)]);
  return readHeader(text.subarray(prefixSize, end));
}

async function bytesOf(remote: RemoteFile, from: number, to: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of remote.read(from, to)) chunks.push(chunk);
  return Buffer.concat(chunks);
}
