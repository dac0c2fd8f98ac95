// A delta file: how the data of one image is made of another's. The magic, the length of a header in JSON (four bytes, little
// endian), the header, and one zstd frame (RFC 8878) for each part of the new image, with a range of the old one as its dictionary.
import { z } from 'zod';
import { VERITY_BLOCK } from '../../npk/image/verity.ts';

export const deltaMagic = 'NSDELTA1';
/** Bytes of the new image in a part; the last may be shorter. */
export const partSize = 4 * 1024 * 1024;
/** Bytes of the old image that a part may look back on. With what a decoder needs besides, a device takes some 32 MB for one. */
export const largestRange = 16 * 1024 * 1024;
/** All of a range can be looked back on from the end of a part. */
export const windowLog = Math.ceil(Math.log2(largestRange + partSize));
/** What the header may take: 64 KiB are those of 4 GB. */
export const longestHeader = 64 * 1024;
/** Magic and length. */
export const prefixSize = 12;

const rootHash = z.string().regex(/^[0-9a-f]{64}$/);
const bytes = z.int().min(0);

const headerSchema = z.strictObject({
  version: z.literal(1),
  /** Of the images' hash trees, which say that they are these. */
  old: rootHash,
  new: rootHash,
  /** Bytes of the new image that the parts make, whole blocks. */
  size: bytes.multipleOf(VERITY_BLOCK),
  /** For each part: where its range begins in the old image's data, the range's length, and the length of the frame. */
  parts: z.array(z.tuple([bytes, bytes.max(largestRange), bytes.max(2 * partSize)])).min(1),
});

export type DeltaHeader = z.infer<typeof headerSchema>;

/** A part, with where it lies. Offsets are bytes from the start of the images' data, and of the delta file. */
export interface DeltaPart {
  readonly to: number;
  readonly length: number;
  readonly range: { readonly from: number; readonly length: number };
  readonly frame: { readonly from: number; readonly length: number };
}

/** The file's name: it lies beside the package that it leads to. */
export function deltaName(oldRoot: string, newRoot: string): string {
  return `${oldRoot.slice(0, 32)}-${newRoot.slice(0, 32)}.npkdelta`;
}

/** The length of the header; null when the file is no delta. `prefix` are its first 12 bytes. */
export function headerLength(prefix: Buffer): number | null {
  if (prefix.length < prefixSize || prefix.toString('latin1', 0, 8) !== deltaMagic) return null;
  const length = prefix.readUInt32LE(8);
  return length > 0 && length <= longestHeader ? length : null;
}

/** What a header says; null when it cannot be. Nothing of it is believed: what it makes is hashed. */
export function readHeader(
  text: Buffer,
): { readonly header: DeltaHeader; readonly parts: readonly DeltaPart[] } | null {
  let given: unknown;
  try {
    given = JSON.parse(text.toString('utf8'));
  } catch {
    return null;
  }
  const { success, data: header } = headerSchema.safeParse(given);
  if (!success || header.parts.length !== Math.ceil(header.size / partSize)) return null;
  let at = prefixSize + text.length;
  const parts = header.parts.map(([from, length, frame], index) => {
    const part = {
      to: index * partSize,
      length: Math.min(partSize, header.size - index * partSize),
      range: { from, length },
      frame: { from: at, length: frame },
    };
    at += frame;
    return part;
  });
  return { header, parts };
}

/** The bytes in front of the frames. */
export function writeHeader(header: DeltaHeader): Buffer {
  const text = Buffer.from(JSON.stringify(header));
  if (text.length > longestHeader)
    throw new Error(`a delta of ${header.size} bytes is too large: its header has ${text.length}`);
  const prefix = Buffer.alloc(prefixSize);
  prefix.write(deltaMagic, 'latin1');
  prefix.writeUInt32LE(text.length, 8);
  return Buffer.concat([prefix, text]);
}
