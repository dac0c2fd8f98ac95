// What has happened, numbered, as far back as is kept: whoever was away for a while goes on from the number it has seen.
// It lies in a file in memory that outlives this process, since the numbers do:
//
//   0      two u64, little-endian: where the oldest line begins, and its number; written in one piece
//   4096   a line of JSON for each item, one behind the other; a line that lacks its end was never written
import { fstatSync, readSync, writeSync } from 'node:fs';
import { punchHole } from '../../native/socket-pair.ts';

export interface Journal<T> {
  /** Keeps an item; gives its number, one more than that of the one before. */
  add(item: T): number;
  /** The number of the newest item; before the first, one less than it will have. */
  last(): number;
  /** The items after a number, oldest first; null when some of them are not kept, or the number was never given out. */
  since(number: number): readonly T[] | null;
  /** The same, those among them that are about to be dropped, which nobody is told any more. */
  after(number: number): readonly T[] | null;
  /** All that is kept, oldest first. */
  all(): readonly T[];
}

/** What is told of one. */
export type Past<T> = Pick<Journal<T>, 'last' | 'since' | 'all'>;

export interface JournalOptions {
  /** The file. One that is empty becomes a journal. */
  readonly fd: number;
  /** The first number of a new one: where that is the time since the boot in microseconds, no number is given out twice in a boot. */
  readonly first: number;
  /** So many items are kept. */
  readonly most: number;
  /** Items are about to be dropped: `oldest` is the number of the first that stays. */
  readonly trimming?: (oldest: number) => void;
}

const LINES = 4096;
const PAGE = 4096;

/** A line that an earlier process has left, as long as nobody has asked for it. */
class Unread {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** Opens a journal, where an earlier process has left one, where that ended. */
export function openJournal<T>({ fd, first, most, trimming }: JournalOptions): Journal<T> {
  const head = Buffer.alloc(16);
  let [begin, oldest] = [LINES, first];
  let lines: (T | Unread)[] = [];
  let sizes: number[] = [];
  let end = LINES;
  if (readSync(fd, head, 0, 16, 0) === 16) restore();
  else writeHead();

  function restore(): void {
    [begin, oldest] = [Number(head.readBigUInt64LE(0)), Number(head.readBigUInt64LE(8))];
    const bytes = Buffer.alloc(Math.max(0, fstatSync(fd).size - begin));
    readSync(fd, bytes, 0, bytes.length, begin);
    const whole = bytes.lastIndexOf(10) + 1;
    const left = whole === 0 ? [] : bytes.toString('utf8', 0, whole - 1).split('\n');
    lines = left.map((line) => new Unread(line));
    sizes = left.map((line) => Buffer.byteLength(line) + 1);
    end = begin + whole;
  }

  function writeHead(): void {
    head.writeBigUInt64LE(BigInt(begin), 0);
    head.writeBigUInt64LE(BigInt(oldest), 8);
    writeSync(fd, head, 0, 16, 0);
  }

  /** Half as many again may pile up before the oldest go, so that going costs little. */
  function trim(): void {
    const dropped = lines.length - most;
    const from = begin;
    begin += sizes.slice(0, dropped).reduce((sum, size) => sum + size, 0);
    oldest += dropped;
    lines = lines.slice(dropped);
    sizes = sizes.slice(dropped);
    trimming?.(oldest);
    writeHead();
    const [low, high] = [Math.ceil(Math.max(from, PAGE) / PAGE), Math.floor(begin / PAGE)];
    if (high > low) punchHole(fd, low * PAGE, high * PAGE);
  }

  /** What an earlier process has left is read when somebody asks for it. */
  function itemsFrom(index: number): readonly T[] {
    for (let i = index; i < lines.length; i++) {
      const line = lines[i];
      if (line instanceof Unread) lines[i] = JSON.parse(line.text) as T;
    }
    return lines.slice(index) as T[];
  }

  const surplus = (): number => Math.max(0, lines.length - most);

  return {
    add(item) {
      const bytes = Buffer.from(`${JSON.stringify(item)}\n`);
      for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done, bytes.length - done, end + done);
      end += bytes.length;
      lines.push(item);
      sizes.push(bytes.length);
      if (lines.length > most + most / 2) trim();
      return oldest + lines.length - 1;
    },
    last: () => oldest + lines.length - 1,
    since(number) {
      const index = number + 1 - oldest;
      return index < surplus() || index > lines.length ? null : itemsFrom(index);
    },
    after(number) {
      const index = number + 1 - oldest;
      return index < 0 || index > lines.length ? null : itemsFrom(index);
    },
    all: () => itemsFrom(surplus()),
  };
}
