// A file on a server as the reader of packages sees it: what it asks for and is not here yet is fetched.
import type { Bytes } from '../npk/archive/bytes.ts';
import { PackageError } from '../npk/package-error.ts';
import type { RemoteFile } from './remote-file.ts';
import { outside, type Range } from './ranges.ts';

export interface RemoteBytes extends Bytes {
  /** The bytes from `from` to before `to`, however many; what is not here yet of them is fetched, and kept. */
  load(range: Range): Promise<Buffer>;
  /** What has come, whatever it was asked for. */
  readonly parts: readonly RemotePart[];
}

export interface RemotePart {
  readonly from: number;
  readonly data: Buffer;
}

/** The small entries of a package, and what a request for a few bytes brings along. */
const head = 16 * 1024;
/** Bytes that the parts of a package beside its blocks may take, the end of the file apart: two manifests and what is around them. */
const most = 1024 * 1024;

/** Starts with the end of the file, which is there. Rejects as RemoteFile does, or with a PackageError for a range that is not in it. */
export function remoteBytes(file: RemoteFile): RemoteBytes {
  const parts: { readonly from: number; readonly to: number; readonly data: Buffer }[] = [
    { from: file.size - file.tail.length, to: file.size, data: file.tail },
  ];
  let asked = 0;

  async function load({ from, to }: Range): Promise<Buffer> {
    const here = parts.filter((part) => part.from < to && from < part.to).sort((a, b) => a.from - b.from);
    const fetched = await Promise.all(outside(from, to, here).map(fetch));
    const all = [...here, ...fetched].sort((a, b) => a.from - b.from);
    const [first] = all;
    const inside = first !== undefined && first.from <= from && to <= first.to ? [first] : all;
    let at = from;
    return Buffer.concat(
      inside.map((part) => {
        const piece = part.data.subarray(at - part.from, to - part.from);
        at = Math.min(to, part.to);
        return piece;
      }),
    );
  }

  async function fetch({ from, to }: Range): Promise<(typeof parts)[number]> {
    const chunks: Buffer[] = [];
    for await (const chunk of file.read(from, to)) chunks.push(chunk);
    const part = { from, to, data: Buffer.concat(chunks) };
    parts.push(part);
    return part;
  }

  return {
    size: file.size,
    parts,
    load,
    async at(offset, length) {
      const to = offset + length;
      if (offset < 0 || length < 0 || to > file.size)
        throw new PackageError('archive', `bytes ${offset} to ${to} lie outside of the file of ${file.size} bytes`);
      const known = parts.find((part) => part.from <= offset && to <= part.to);
      if (known !== undefined) return known.data.subarray(offset - known.from, to - known.from);
      asked += length;
      if (asked > most) throw new PackageError('archive', `more than ${most} bytes lie around its image`);
      // More than is asked for: what lies beside it is asked for next.
      const from = offset < head ? 0 : offset;
      const around = await load({ from, to: Math.min(file.size, Math.max(to, from + head)) });
      return around.subarray(offset - from, to - from);
    },
    fetch: async () => undefined,
  };
}
