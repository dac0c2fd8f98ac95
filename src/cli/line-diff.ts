// The difference of two texts by lines, as diff -u writes it. Pure.
import { styleText } from 'node:util';
import { printable } from './output.ts';

/** Lines around a change that are shown as well. */
const around = 3;
/** So many lines that differ are compared line by line (a table of its square); beyond it a block is replaced as a whole. */
const mostCompared = 3000;

interface Line {
  readonly mark: ' ' | '-' | '+';
  readonly text: string;
}

/** The difference, coloured on a terminal; '' when there is none. `from` and `to` say what the texts are. */
export function unifiedDiff(before: string, after: string, { from, to }: { from: string; to: string }): string {
  const lines = compared(linesOf(before), linesOf(after));
  const hunks = hunksOf(lines);
  if (hunks.length === 0) return '';
  const head = [`--- ${printable(from)}`, `+++ ${printable(to)}`].map((line) => styleText('bold', line));
  return [...head, ...hunks.flat()].map((line) => `${line}\n`).join('');
}

function linesOf(text: string): string[] {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

/** Both texts as one list of lines: the longest common part stays, what is before it and is not goes. */
function compared(before: readonly string[], after: readonly string[]): Line[] {
  let start = 0;
  while (start < before.length && start < after.length && before[start] === after[start]) start += 1;
  let end = 0;
  while (
    end < before.length - start &&
    end < after.length - start &&
    before[before.length - 1 - end] === after[after.length - 1 - end]
  )
    end += 1;
  const same = (texts: readonly string[]): Line[] => texts.map((text) => ({ mark: ' ', text }));
  return [
    ...same(before.slice(0, start)),
    ...middle(before.slice(start, before.length - end), after.slice(start, after.length - end)),
    ...same(before.slice(before.length - end)),
  ];
}

function middle(before: readonly string[], after: readonly string[]): Line[] {
  const gone = before.map((text): Line => ({ mark: '-', text }));
  const come = after.map((text): Line => ({ mark: '+', text }));
  if (before.length === 0 || after.length === 0 || before.length + after.length > mostCompared)
    return [...gone, ...come];
  // lengths[i][j]: the longest common part of what follows line i of the one and line j of the other.
  const lengths = Array.from({ length: before.length + 1 }, () => new Uint16Array(after.length + 1));
  const at = (i: number, j: number): number => lengths[i]?.[j] ?? 0;
  for (let i = before.length - 1; i >= 0; i--) {
    const row = lengths[i];
    for (let j = after.length - 1; row !== undefined && j >= 0; j--) {
      row[j] = before[i] === after[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const lines: Line[] = [];
  for (let i = 0, j = 0; i < before.length || j < after.length;) {
    const [old, next] = [gone[i], come[j]];
    if (old !== undefined && next !== undefined && old.text === next.text) {
      lines.push({ mark: ' ', text: old.text });
      i += 1;
      j += 1;
    } else if (old !== undefined && (next === undefined || at(i + 1, j) >= at(i, j + 1))) {
      lines.push(old);
      i += 1;
    } else if (next !== undefined) {
      lines.push(next);
      j += 1;
    }
  }
  return lines;
}

/** Changes with the lines around them, each with a head that says where. */
function hunksOf(lines: readonly Line[]): string[][] {
  const isShown = lines.map((_, index) =>
    lines.slice(Math.max(0, index - around), index + around + 1).some(({ mark }) => mark !== ' '),
  );
  const hunks: string[][] = [];
  let [old, next] = [1, 1];
  for (let index = 0; index < lines.length;) {
    let stop = index;
    while (stop < lines.length && isShown[stop] === isShown[index]) stop += 1;
    const part = lines.slice(index, stop);
    const [olds, nexts] = ['+', '-'].map((other) => part.filter(({ mark }) => mark !== other).length) as [
      number,
      number,
    ];
    if (isShown[index] === true) {
      const head = styleText('cyan', `@@ -${place(old, olds)} +${place(next, nexts)} @@`);
      hunks.push([head, ...part.map(coloured)]);
    }
    old += olds;
    next += nexts;
    index = stop;
  }
  return hunks;
}

/** `begin,count`; an empty part stands behind the line before it (diff(1)). */
function place(begin: number, count: number): string {
  return `${count === 0 ? begin - 1 : begin},${count}`;
}

function coloured({ mark, text }: Line): string {
  const line = `${mark}${printable(text)}`;
  if (mark === ' ') return line;
  return styleText(mark === '-' ? 'red' : 'green', line);
}
