// Which stretches of a file are asked for, so that what is missing comes in few requests. Pure.

/** Bytes from `from` to before `to`. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

/** How a server is asked for what is missing. */
export interface Asking {
  /** Stretches in all. */
  readonly most: number;
  /** Bytes that one of them should bring at least: what it costs to ask for it. */
  readonly worth: number;
  /** Missing blocks with so many others between them are one stretch. */
  readonly gap: number;
}

/** A range in each request, which costs a round trip and some hundred bytes. */
export const oneByOne: Asking = { most: 600, worth: 64 * 1024, gap: 1 };
/** Many ranges in each request, some hundred bytes for each. */
export const together: Asking = { most: 30_000, worth: 0, gap: 0 };
/** What may be fetched in vain so that a stretch brings what it should, as a part of the whole. */
const vain = 0.01;

/**
 * Stretches of blocks, `size` bytes each, that cover all missing ones; `isMissing(block)` for 0 to before `count`. Gaps are closed,
 * the narrowest first, as long as there are more than `most` stretches, or they bring less than they should and no more than one
 * part in a hundred of the whole is fetched in vain by it.
 */
export function stretches(count: number, size: number, asking: Asking, isMissing: (block: number) => boolean): Range[] {
  const runs: { from: number; to: number }[] = [];
  for (let block = 0; block < count; block++) {
    if (!isMissing(block)) continue;
    const last = runs.at(-1);
    if (last !== undefined && block - last.to <= asking.gap) last.to = block + 1;
    else runs.push({ from: block, to: block + 1 });
  }
  const shut = gapsToClose(runs, asking, { worth: asking.worth / size, vain: count * vain });
  const merged: { from: number; to: number }[] = [];
  runs.forEach((run, index) => {
    const last = merged.at(-1);
    if (last !== undefined && shut.has(index - 1)) last.to = run.to;
    else merged.push({ ...run });
  });
  return merged.map(({ from, to }) => ({ from: from * size, to: to * size }));
}

/** By the run that they follow. `worth` and `vain` are in blocks. */
function gapsToClose(
  runs: readonly Range[],
  { most }: Asking,
  { worth, vain: mostInVain }: { readonly worth: number; readonly vain: number },
): ReadonlySet<number> {
  const gaps = runs.slice(1).map(({ from }, index) => ({ index, width: from - (runs[index]?.to ?? 0) }));
  gaps.sort((a, b) => a.width - b.width || a.index - b.index);
  let blocks = runs.reduce((sum, { from, to }) => sum + to - from, 0);
  let closed = 0;
  const shut = new Set<number>();
  for (const { index, width } of gaps) {
    const left = runs.length - shut.size;
    const isDear = left * worth <= blocks || closed + width > mostInVain;
    if (left <= most && isDear) break;
    shut.add(index);
    blocks += width;
    closed += width;
  }
  return shut;
}

/** Ranges in requests of at most `ranges` of them and, unless one alone has more, `bytes` bytes. */
export function requests(all: readonly Range[], { ranges, bytes }: { ranges: number; bytes: number }): Range[][] {
  const found: Range[][] = [];
  let length = 0;
  for (const range of all) {
    const last = found.at(-1);
    length += range.to - range.from;
    if (last !== undefined && last.length < ranges && length <= bytes) {
      last.push(range);
      continue;
    }
    found.push([range]);
    length = range.to - range.from;
  }
  return found;
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

/** What two ranges share: none or one. */
export function inside(one: Range, other: Range): Range[] {
  const shared = { from: Math.max(one.from, other.from), to: Math.min(one.to, other.to) };
  return shared.from < shared.to ? [shared] : [];
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
