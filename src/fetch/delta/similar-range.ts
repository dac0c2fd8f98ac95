// Where in an old image the bytes of a part of a new one are likely to be found: by samples of both at places that the content
// itself chooses, so that what has moved is found as well.
import { largestRange } from './delta-format.ts';

/** Bits of a hash that are nothing at a place that is sampled: one in 1024. */
const rarity = 22;
/** Ranges begin at a multiple of this. */
const step = 1024 * 1024;

/** Random numbers that are the same everywhere (xorshift32), one for each byte. */
const gear = Uint32Array.from({ length: 256 }, random());

function random(): () => number {
  let state = 0x9e3779b9;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

/** Calls `found` with a hash of the 32 bytes before each place that is sampled. */
function sample(data: Buffer, found: (hash: number, at: number) => void): void {
  let hash = 0;
  for (let at = 0; at < data.length; at++) {
    hash = ((hash << 1) + (gear[data[at] ?? 0] ?? 0)) >>> 0;
    // The upper bits hold most of what the last bytes were.
    if (hash >>> rarity === 0) found(hash, at);
  }
}

export interface SimilarRanges {
  /** The range of the old data, at most 16 MiB, that has most of `data`; `near` is where it is looked for when there is nothing to go by. */
  rangeFor(data: Buffer, near: number): { readonly from: number; readonly length: number };
}

/** Samples the old data once. */
export function similarRanges(old: Buffer): SimilarRanges {
  const places = new Map<number, number>();
  sample(old, (hash, at) => {
    if (!places.has(hash)) places.set(hash, at);
  });
  const steps = Math.ceil(old.length / step);
  const perRange = largestRange / step;

  return {
    rangeFor(data, near) {
      const hits = new Uint32Array(steps);
      sample(data, (hash) => {
        const at = places.get(hash);
        if (at === undefined) return;
        const index = Math.floor(at / step);
        hits[index] = (hits[index] ?? 0) + 1;
      });
      const last = Math.max(0, steps - perRange);
      const sums = Array.from({ length: last + 1 }, (_, first) =>
        hits.subarray(first, first + perRange).reduce((sum, each) => sum + each, 0),
      );
      const most = Math.max(...sums);
      const middle = Math.min(last, Math.max(0, Math.floor(near / step) - perRange / 2));
      const from = (most === 0 ? middle : sums.indexOf(most)) * step;
      return { from, length: Math.min(largestRange, old.length - from) };
    },
  };
}
