// What a container's console leaves to the next reconciler: a file in memory, which the launcher keeps beside the socket.
//
//   0        length (u32, little-endian) and JSON of the head: one page, written in one piece, so that it is always whole
//   INPUT    two places: what was received and not answered yet stands in the one that the head names
//   BEGUN    what the request under way has begun with: a line of `name:version RUN` for each container
//   OUTPUT   what is sent, at the offset of the stream; the file's position is how far it has gone
//
// A write outside of the head means nothing before the head speaks of it. What goes out is never written again, since the
// pages themselves travel (sendfile(2)): what has gone is given back page by page.
import { readSync, writeSync } from 'node:fs';
import { createMemoryFile } from '../../../native/memfd.ts';
import type { Permissions } from '../protocol/permissions.ts';
import { newProgress, type Progress } from './channel.ts';
import { positionOf, punchHole, setPosition } from '../../../native/socket-pair.ts';

const PAGE = 4096;
const INPUT = [2 ** 33, 2 ** 34] as const;
const BEGUN = 2 ** 35;
const OUTPUT = 2 ** 36;
/** Memory that may lie idle. */
const IDLE = 64 * 1024;

/** What is known of a conversation besides its bytes. */
export interface Conversation extends Progress {
  /** name:version of a container, or `extern:0.0.0`. */
  readonly identity: string;
  readonly permissions: Permissions;
  /** What it connected to; null: a container was given it. */
  readonly listener: string | null;
  /** Bytes of a package that are still to come. */
  left: number | null;
}

interface Head extends Conversation {
  readonly begun: number;
  readonly place: 0 | 1;
  readonly size: number;
  readonly answered: number;
  /** Of what was received last: it may not have been taken from the socket yet. */
  readonly peeked: number;
  readonly output: number;
}

export interface KeptFile {
  readonly fd: number;
  readonly conversation: Conversation;
  /** Bytes that the last receive had peeked at, when nobody said that they were taken. */
  readonly peeked: number;
  /** What an earlier process has begun of the request under way, by container, and the run that a start asks for. */
  readonly begun: ReadonlyMap<string, number>;
  /** The request under way is allowed and done for this container from now on: a later process will know. */
  begin(container: string, run: number): void;
  /** What was received and is not answered. */
  unanswered(): Buffer;
  /** Adds bytes that were peeked at. */
  receive(bytes: Uint8Array): void;
  /** They were taken from the socket. */
  received(): void;
  /** So many bytes more are answered, or have served their purpose, and no request is under way, as soon as the head is written. */
  answer(bytes: number): void;
  /** Adds to what is to be sent, as soon as the head is written. */
  put(text: string): void;
  /** Writes the head: what was said since the last time counts from now on. */
  save(): void;
  /** Bytes that are still to be sent. */
  unsent(): number;
  /** So many have gone. */
  sent(bytes: number): void;
}

/** A new one. The descriptor is the caller's to close. Throws SyscallError. */
export function createKeptFile(who: Pick<Conversation, 'identity' | 'permissions' | 'listener'>): KeptFile {
  const fd = createMemoryFile(`northstate console ${who.identity}`);
  setPosition(fd, OUTPUT);
  const none = { begun: 0, place: 0, size: 0, answered: 0, peeked: 0, output: 0 } as const;
  const file = keptFile(fd, { ...who, ...newProgress(), ...none });
  file.save();
  return file;
}

/** The one that an earlier reconciler has left. Throws when it is none. */
export function openKeptFile(fd: number): KeptFile {
  const page = readAt(fd, 0, PAGE);
  return keptFile(fd, JSON.parse(page.toString('utf8', 4, 4 + page.readUInt32LE())) as Head);
}

function keptFile(fd: number, head: Head): KeptFile {
  const { begun: _, place: __, size: ___, answered: ____, peeked: _____, output: ______, ...conversation } = head;
  const begun = new Map(linesOf(readAt(fd, BEGUN, head.begun)));
  let begunSize = head.begun;
  let { place, size, answered, peeked, output } = head;
  let input = readAt(fd, INPUT[place], size);
  let gone = positionOf(fd) - OUTPUT;
  let punched = Math.floor(gone / PAGE) * PAGE;

  function save(): void {
    const next: Head = { ...conversation, begun: begunSize, place, size, answered, peeked, output };
    const json = Buffer.from(JSON.stringify(next));
    const length = Buffer.alloc(4);
    length.writeUInt32LE(json.length);
    writeAt(fd, Buffer.concat([length, json]), 0);
  }

  /** Nothing is overwritten that the head speaks of: what is left goes to the other place. */
  function moveToOther(): void {
    input = input.subarray(answered);
    place = place === 0 ? 1 : 0;
    writeAt(fd, input, INPUT[place]);
    size = input.length;
    answered = 0;
  }

  return {
    fd,
    conversation,
    peeked,
    begun,
    begin(container, run) {
      const line = Buffer.from(`${container} ${run}\n`);
      writeAt(fd, line, BEGUN + begunSize);
      begunSize += line.length;
      save();
    },
    unanswered: () => input.subarray(answered),
    receive(bytes) {
      const [before, used] = [place, size];
      if (answered > 0) moveToOther();
      writeAt(fd, bytes, INPUT[place] + size);
      input = Buffer.concat([input, bytes]);
      size += bytes.length;
      peeked = bytes.length;
      save();
      if (place !== before && used > IDLE) {
        punchHole(fd, INPUT[before], INPUT[before] + Math.ceil(used / PAGE) * PAGE);
      }
    },
    received() {
      peeked = 0;
      save();
    },
    answer(bytes) {
      answered += bytes;
      begun.clear();
      begunSize = 0;
    },
    put(text) {
      const bytes = Buffer.from(text);
      writeAt(fd, bytes, OUTPUT + output);
      output += bytes.length;
    },
    save,
    unsent: () => output - gone,
    sent(bytes) {
      gone += bytes;
      const whole = Math.floor(gone / PAGE) * PAGE;
      if (whole - punched < IDLE) return;
      punchHole(fd, OUTPUT + punched, OUTPUT + whole);
      punched = whole;
    },
  };
}

function linesOf(bytes: Buffer): [string, number][] {
  const lines = bytes.toString().split('\n').slice(0, -1);
  return lines.map((line) => {
    const [container = '', run = '0'] = line.split(' ');
    return [container, Number(run)];
  });
}

function readAt(fd: number, position: number, size: number): Buffer {
  const bytes = Buffer.alloc(size);
  readSync(fd, bytes, 0, size, position);
  return bytes;
}

function writeAt(fd: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done, bytes.length - done, position + done);
}
