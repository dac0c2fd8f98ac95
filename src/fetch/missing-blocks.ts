// The blocks of an image that nobody here has, from the server.
import type { FileHandle } from 'node:fs/promises';
import { VERITY_BLOCK } from '../npk/image/verity.ts';
import { keepRight } from './block-copy.ts';
import { FetchError } from './fetch-error.ts';
import { mostConnections } from './http.ts';
import { oneByOne, pieces, requests, stretches, together, type Asking, type Range } from './ranges.ts';
import type { RemoteFile } from './remote-file.ts';
import { batchBlocks, type WantedBlocks } from './wanted-blocks.ts';

/** Bytes that one request asks for at most, so that several connections share a long stretch. */
const pieceSize = 4 * 1024 * 1024;
/** Ranges in one request: some 2 KiB of header, and less than servers refuse (Apache: 200). */
const mostRanges = 100;

/** An image within the file that it is put together in. */
export interface ImageFile {
  readonly file: FileHandle;
  readonly offset: number;
  readonly wanted: WantedBlocks;
}

/** How many bytes of it would be asked for at most. */
export function missingLength(wanted: WantedBlocks, isHere: (block: number) => boolean): number {
  return missingStretches(wanted, oneByOne, isHere).reduce((sum, { from, to }) => sum + to - from, 0);
}

/**
 * Asks for what is missing, over several connections: many ranges at once where the server gives them, else one by one. Rejects
 * with FetchError, or with what the file gives.
 */
export async function fetchMissing(image: ImageFile, remote: RemoteFile): Promise<void> {
  const parts = pieces(missingStretches(image.wanted, together, image.wanted.has), pieceSize);
  const several = requests(parts, { ranges: mostRanges, bytes: pieceSize }).filter(({ length }) => length > 1);
  const [first, ...rest] = several;
  if (first !== undefined && (await fetchSeveral(image, remote, first))) {
    let gives = true;
    await overLanes(rest, async (ranges) => {
      if (gives) gives = await fetchSeveral(image, remote, ranges);
    });
  }
  const left = pieces(missingStretches(image.wanted, oneByOne, image.wanted.has), pieceSize);
  await overLanes(left, (range) => fetchStretch(image, remote, range));
}

/** All have ended when it settles: the file may be closed then. */
async function overLanes<T>(work: readonly T[], task: (each: T) => Promise<void>): Promise<void> {
  const queue = work.values();
  const lanes = Array.from({ length: mostConnections }, async () => {
    for (const each of queue) await task(each);
  });
  await Promise.allSettled(lanes);
  await Promise.all(lanes);
}

/** Bytes of the image that must be asked for; a block that is there twice is asked for once. */
function missingStretches(wanted: WantedBlocks, asking: Asking, isHere: (block: number) => boolean): Range[] {
  return stretches(wanted.count, VERITY_BLOCK, asking, (block) => !isHere(block) && wanted.first(block) === block);
}

/** Whether the server gave all of them. */
async function fetchSeveral(image: ImageFile, remote: RemoteFile, ranges: readonly Range[]): Promise<boolean> {
  const blocks = blockSink(image, remote.name);
  const inFile = ranges.map(({ from, to }) => ({ from: image.offset + from, to: image.offset + to }));
  for await (const { at, data } of remote.readSeveral(inFile)) await blocks.take(at - image.offset, data);
  await blocks.flush();
  return ranges.every(({ from }) => image.wanted.has(from / VERITY_BLOCK));
}

async function fetchStretch(image: ImageFile, remote: RemoteFile, { from, to }: Range): Promise<void> {
  const blocks = blockSink(image, remote.name);
  let at = from;
  for await (const data of remote.read(image.offset + from, image.offset + to)) {
    await blocks.take(at, data);
    at += data.length;
  }
  await blocks.flush();
}

interface BlockSink {
  /** Bytes of the image from `at` on. A block of which they bring a part alone is left out. */
  take(at: number, data: Buffer): Promise<void>;
  flush(): Promise<void>;
}

/** Checks and writes blocks by the batch. Rejects with FetchError when one is not what it must be. */
function blockSink({ file, offset, wanted }: ImageFile, name: string): BlockSink {
  const batch = Buffer.allocUnsafe(batchBlocks * VERITY_BLOCK);
  let filled = 0;
  let first = 0;
  let next = 0;

  async function flush(): Promise<void> {
    const wrong = await keepRight(file, offset, wanted, { first, data: batch.subarray(0, filled) });
    if (wrong !== null)
      throw new FetchError('changed', `${name}: block ${wrong} of the image is not the one that its hash tree has`);
    first += Math.floor(filled / VERITY_BLOCK);
    filled = 0;
  }

  return {
    async take(at, data) {
      if (at !== next) {
        await flush();
        first = Math.ceil(at / VERITY_BLOCK);
      }
      next = at + data.length;
      for (let used = Math.max(0, first * VERITY_BLOCK + filled - at); used < data.length;) {
        const copied = data.copy(batch, filled, used);
        used += copied;
        filled += copied;
        if (filled === batch.length) await flush();
      }
    },
    flush,
  };
}
