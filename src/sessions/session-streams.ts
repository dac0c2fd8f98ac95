// What a session reads and writes: three pipes, or one terminal. Our ends are here, the others go to the launcher.
import { closeSync, fchownSync } from 'node:fs';
import { Socket } from 'node:net';
import { ReadStream } from 'node:tty';
import type { Readable } from 'node:stream';
import { makePipe } from '../../native/pipe.ts';
import { openPseudoTerminal, resizeTerminal, writeTerminal, type TerminalSize } from '../../native/pseudo-terminal.ts';

/** A piece of what a session has written. A terminal has one stream. */
export interface Piece {
  readonly stream: 'stdout' | 'stderr';
  readonly data: Buffer;
}

export interface SessionStreams {
  /** The program's descriptors 0, 1 and 2; to be closed once they are sent. */
  readonly theirs: readonly [stdin: number, stdout: number, stderr: number];
  closeTheirs(): void;
  /** Once, before anything is read or written: it takes as long as the launcher takes meanwhile. */
  begin(): void;
  /** What it writes, until the end of all that has these descriptors; nothing more is read while nobody takes it. */
  output(): AsyncGenerator<Piece>;
  /** Resolves when it is on its way, or when nobody reads it any more. */
  write(data: Uint8Array): Promise<void>;
  /** There is no more input. */
  end(): void;
  resize(size: TerminalSize): void;
  /** The program has ended: what it has written is read, but nobody waits for others that it has left behind. */
  settle(): void;
  close(): void;
}

/** Whose descriptors they are, so that they can be opened again by name. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** Bytes that wait for whoever reads. */
const mostWaiting = 256 * 1024;
/** What a program has written has come by then, ms; it may have left others that hold its descriptors. */
const lastWords = 200;
const endOfFile = Buffer.of(4);

/** Pipes; without `input` nothing can be read. */
export function openPipes({ uid, gid }: Owner, input: boolean): SessionStreams {
  const ends = [makePipe('stdin'), makePipe('stdout'), makePipe('stderr')] as const;
  const [stdin, stdout, stderr] = ends;
  const theirs = [stdin.reader, stdout.writer, stderr.writer] as const;
  for (const fd of theirs) fchownSync(fd, uid, gid);
  if (!input) closeSync(stdin.writer);
  const ours = [stdout.reader, stderr.reader, ...(input ? [stdin.writer] : [])];
  const { read, ...merged } = mergedOutput();
  let writer: Socket | null = null;
  let begun = false;
  return {
    theirs,
    closeTheirs: () => theirs.forEach((fd) => closeSync(fd)),
    begin() {
      begun = true;
      read('stdout', new Socket({ fd: stdout.reader, readable: true, writable: false }));
      read('stderr', new Socket({ fd: stderr.reader, readable: true, writable: false }));
      if (!input) return;
      const to = new Socket({ fd: stdin.writer, readable: false, writable: true });
      writer = to.on('error', () => to.destroy()); // nobody reads any more
    },
    ...merged,
    async write(data) {
      await new Promise<void>((resolve) => {
        if (writer === null) resolve();
        else writer.write(data, () => resolve());
      });
    },
    end: () => void writer?.end(),
    resize: () => undefined,
    close() {
      if (!begun) ours.forEach((fd) => closeSync(fd));
      writer?.destroy();
      merged.close();
    },
  };
}

/** `writable` resolves when the terminal takes something again. */
export function openTerminal(
  { uid, gid }: Owner,
  size: TerminalSize,
  writable: (master: number) => Promise<void>,
): SessionStreams {
  const { master, peer } = openPseudoTerminal(size);
  fchownSync(peer, uid, gid);
  const { read, ...merged } = mergedOutput();
  read('stdout', new ReadStream(master));
  let isOver = false;
  let writing = Promise.resolve();

  async function writeAll(data: Uint8Array): Promise<void> {
    for (let left = data; left.length > 0 && !isOver;) {
      const taken = unlessGone(() => writeTerminal(master, left));
      if (taken === null) return;
      left = left.subarray(taken);
      if (left.length > 0) await writable(master);
    }
  }
  const write = (data: Uint8Array): Promise<void> => (writing = writing.then(() => writeAll(data)));

  return {
    theirs: [peer, peer, peer],
    closeTheirs: () => closeSync(peer),
    begin: () => undefined,
    ...merged,
    write,
    end: () => void write(endOfFile),
    resize(to) {
      if (!isOver) resizeTerminal(master, to);
    },
    close() {
      isOver = true;
      merged.close();
    },
  };
}

function unlessGone(write: () => number): number | null {
  try {
    return write();
  } catch {
    return null; // EIO: the other side is closed, and what is typed is nobody's
  }
}

/** Pieces of several streams as they come. */
function mergedOutput(): Pick<SessionStreams, 'output' | 'settle' | 'close'> & {
  readonly read: (stream: Piece['stream'], reader: Readable) => void;
} {
  const pieces: Piece[] = [];
  const open = new Set<Readable>();
  let waiting = 0;
  let news = Promise.withResolvers<void>();

  function read(stream: Piece['stream'], reader: Readable): void {
    open.add(reader);
    reader.on('data', (data: Buffer) => {
      pieces.push({ stream, data });
      waiting += data.length;
      if (waiting > mostWaiting) for (const each of open) each.pause();
      news.resolve();
    });
    // Of a terminal the end is an error (EIO): nobody has its other side any more.
    reader.on('error', () => reader.destroy());
    reader.on('close', () => {
      open.delete(reader);
      news.resolve();
    });
  }

  return {
    read,
    close() {
      for (const reader of open) reader.destroy();
    },
    async *output() {
      for (;;) {
        for (let piece = pieces.shift(); piece !== undefined; piece = pieces.shift()) {
          waiting -= piece.data.length;
          yield piece;
        }
        if (open.size === 0) return;
        for (const each of open) each.resume();
        await news.promise;
        news = Promise.withResolvers();
      }
    },
    settle() {
      const timer = setInterval(() => {
        // Whoever reads slowly loses nothing.
        if (open.size > 0 && waiting > 0) return;
        for (const reader of open) reader.destroy();
        clearInterval(timer);
      }, lastWords);
    },
  };
}
