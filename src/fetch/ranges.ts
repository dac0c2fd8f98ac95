// Which stretches of a file are asked for, so that what is missing comes in few requests. Pure.

/** Bytes from `from` to before `to`. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

/** Requests in all. */
const mostRequests = 600;
/** What a request should bring at least, in bytes: it costs a round trip and some hundred bytes. */
const bytesPerRequest = 64 * 1024;
/** What may be fetched in vain to save requests, as a part of the whole. */
const vain = 0.01;

/**
 * Stretches of blocks, `size` bytes each, that cover all missing ones; `isMissing(block)` for 0 to before `count`. Neighbours over
 * a gap of one block are one stretch. Wider gaps are closed, the narrowest first, as long as there are more than 600 stretches, or
 * more than one for each 64 KiB and no more than one part in a hundred of the whole is fetched in vain by it.
 */
export function stretches(count: number, size: number, isMissing: (block: number) => boolean): Range[] {
  const runs: { from: number; to: number }[] = [];
  for (let block = 0; block < count; block++) {
    if (!isMissing(block)) continue;
    const last = runs.at(-1);
    if (last !== undefined && block - last.to <= 1) last.to = block + 1;
    else runs.push({ from: block, to: block + 1 });
  }
  const shut = gapsToClose(runs, size, count * vain);
  const merged: { from: number; to: number }[] = [];
  runs.forEach((run, index) => {
    const last = merged.at(-1);
    if (last !== undefined && shut.has(index - 1)) last.to = run.to;
    else merged.push({ ...run });
  });
  return merged.map(({ from, to }) => ({ from: from * size, to: to * size }));
}

/** By the run that they follow. `most` is how many blocks may be fetched in vain. */
function gapsToClose(runs: readonly Range[], size: number, most: number): ReadonlySet<number> {
  const gaps = runs.slice(1).map(({ from }, index) => ({ index, width: from - (runs[index]?.to ?? 0) }));
  gaps.sort((a, b) => a.width - b.width || a.index - b.index);
  let blocks = runs.reduce((sum, { from, to }) => sum + to - from, 0);
  let closed = 0;
  const shut = new Set<number>();
  for (const { index, width } of gaps) {
    const left = runs.length - shut.size;
    const isDear = left <= Math.ceil((blocks * size) / bytesPerRequest) || closed + width > most;
    if (left <= mostRequests && isDear) break;
    shut.add(index);
    blocks += width;
    closed += width;
  }
  return shut;
}

/** The ranges in pieces of at most `length` bytes, so that several connections share a long one. */
export function pieces(ranges: readonly Range[], length: number): Range[] {
  return ranges.flatMap(({ from, to }) =>
    Array.from({ length: Math.ceil((to - from) / length) }, (_, index) => ({
      from: from + index * length,
      to: Math.min(to, from + (index + 1) * length),
    })),
  );
}

/** What of `from` to `to` lies in none of the ranges, which are in order and do not overlap. */
export function outside(from: number, to: number, ranges: readonly Range[]): Range[] {
  const left: Range[] = [];
  let at = from;
  for (const range of ranges) {
    if (range.from > at) left.push({ from: at, to: Math.min(range.from, to) });
    at = Math.max(at, range.to);
  }
  if (at < to) left.push({ from: at, to });
  return left.filter((range) => range.from < range.to);
}
