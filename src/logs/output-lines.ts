// Containers' output: the launcher keeps it in rings of records (native/launcher/README.md), here it becomes lines.
import type { LogLine } from '../runtime/runtime.ts';

/** Bytes of a line that is not ended yet and that are kept; a longer one is cut there. */
const longest = 64 * 1024;
const header = 13;

/** Turns the records of one attempt's ring into lines. Feed it what was read, in order. */
export interface LineReader {
  /** Lines that the bytes complete, and how many bytes whole records took: the rest belongs to the next read. */
  read(bytes: Uint8Array): { readonly lines: LogLine[]; readonly consumed: number };
  /** What is left without a newline at its end. */
  end(): LogLine[];
}

interface Rest {
  text: Uint8Array[];
  size: number;
  time: number;
}

/** `wallClock`: ms since 1970 at a time of CLOCK_BOOTTIME in ms, which records carry. */
export function createLineReader(wallClock: (boot: number) => number): LineReader {
  const rests = new Map<number, Rest>();

  const line = (stream: number, rest: Rest): LogLine => {
    const text = Buffer.concat(rest.text).toString();
    rest.text = [];
    rest.size = 0;
    return { time: rest.time, stream: stream === 2 ? 'stderr' : 'stdout', line: text.replace(/\r?\n$/, '') };
  };

  function take(stream: number, time: number, bytes: Uint8Array, lines: LogLine[]): void {
    const rest = rests.get(stream) ?? { text: [], size: 0, time };
    rests.set(stream, rest);
    for (let from = 0; from < bytes.length;) {
      const newline = bytes.indexOf(10, from);
      const to = Math.min(newline < 0 ? bytes.length : newline + 1, from + longest - rest.size);
      if (rest.size === 0) rest.time = time;
      rest.text.push(bytes.subarray(from, to));
      rest.size += to - from;
      from = to;
      if ((newline >= 0 && to === newline + 1) || rest.size >= longest) lines.push(line(stream, rest));
    }
  }

  return {
    read(bytes) {
      const lines: LogLine[] = [];
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      let at = 0;
      while (at + header <= bytes.length) {
        const length = view.getUint32(at + 9, true);
        if (at + header + length > bytes.length) break;
        const time = wallClock(Number(view.getBigUint64(at + 1, true)) / 1e6);
        take(view.getUint8(at), time, bytes.subarray(at + header, at + header + length), lines);
        at += header + length;
      }
      return { lines, consumed: at };
    },
    end() {
      return [...rests].filter(([, { size }]) => size > 0).map(([stream, rest]) => line(stream, rest));
    },
  };
}
