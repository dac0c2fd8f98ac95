// What a container's console leaves to the next reconciler: a file in memory, which the launcher keeps beside the socket.
//
//   0        length (u32, little-endian) and JSON of the head: one page, written in one piece, so that it is always whole
//   INPUT    two places: what was received and not answered yet stands in the one that the head names
//   BEGUN    what the request under way has begun with: a line of `name:version RUN` for each container
//   OUTPUT   what is sent, at the offset of the stream; the file's position is how far it has gone
//
// A write outside of the head means nothing before the head speaks of it. What goes out is never written again, since the
// pages themselves travel (sendfile(2)): what has gone is given back page by page.
import { readSync } from 'node:fs';
import { createMemoryFile } from '../../../native/memfd.ts';
import type { Permissions } from '../protocol/permissions.ts';
import { newProgress, type Progress } from './channel.ts';
import { positionOf, punchHole, putAt, setPosition } from '../../../native/socket-pair.ts';

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
  /**
   * Where the output ended before what was peeked at was answered, all of it in one: once any of that answer has gone, it was taken.
   * Null: it was not answered, or is taken for certain.
   */
  readonly from: number | null;
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
  /** Whether everything that was received is answered. */
  isAnswered(): boolean;
  /** Adds bytes, the last of so many that were peeked at: those before them are answered. */
  receive(bytes: Uint8Array, peeked: number): void;
  /** So many bytes of a package were peeked at and are to be taken: they are nobody's any more. */
  pass(peeked: number): void;
  /** So many bytes were peeked at and are answered all together by this text. */
  exchange(peeked: number, text: string): void;
  /** Nothing is peeked at any more: the next peek must not be taken for the last one. */
  settle(): void;
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
  const none = { begun: 0, place: 0, size: 0, answered: 0, peeked: 0, from: null, output: 0 } as const;
  const file = keptFile(fd, { ...who, ...newProgress(), ...none });
  file.save();
  return file;
}

/** The one that an earlier reconciler has left. Throws when it is none. */
export function openKeptFile(fd: number): KeptFile {
  const page = readAt(fd, 0, PAGE);
  const head = JSON.parse(page.toString('utf8', 4, 4 + page.readUInt32LE())) as Omit<Head, 'from'> & Partial<Head>;
  // One of an earlier version does not say `from`.
  return keptFile(fd, { ...head, from: head.from ?? null });
}

function keptFile(fd: number, head: Head): KeptFile {
  const {
    begun: _,
    place: __,
    size: ___,
    answered: ____,
    peeked: _____,
    from: ______,
    output: _______,
    ...rest
  } = head;
  const conversation: Conversation = rest;
  const { identity, permissions, listener } = conversation;
  // Rendered at every request, of which this never changes.
  const who = JSON.stringify({ identity, permissions, listener }).slice(0, -1);
  const page = Buffer.alloc(PAGE);
  const begun = new Map(linesOf(readAt(fd, BEGUN, head.begun)));
  let begunSize = head.begun;
  let { place, size, answered, from, output } = head;
  let input = readAt(fd, INPUT[place], size);
  let gone = positionOf(fd) - OUTPUT;
  let punched = Math.floor(gone / PAGE) * PAGE;
  let peeked = from !== null && gone > from ? 0 : head.peeked;

  function save(): void {
    const { greeted, subscribed, told, watched, streaming, pace, left } = conversation;
    const flags = `"greeted":${greeted},"subscribed":${subscribed},"streaming":${streaming}`;
    const counts = `"told":${told},"watched":${watched},"left":${left},"begun":${begunSize},"place":${place},"size":${size}`;
    const ends = `"answered":${answered},"peeked":${peeked},"from":${from},"output":${output}`;
    const length = page.write(`${who},${flags},${counts},${ends},"pace":${JSON.stringify(pace)}}`, 4);
    page.writeUInt32LE(length);
    writeAt(fd, page.subarray(0, 4 + length), 0);
  }

  /** Nothing is overwritten that the head speaks of: what is left goes to the other place. */
  function moveToOther(): void {
    input = input.subarray(answered);
    place = place === 0 ? 1 : 0;
    writeAt(fd, input, INPUT[place]);
    size = input.length;
    answered = 0;
  }

  function received(): void {
    peeked = 0;
    from = null;
    save();
  }

  function put(text: string): void {
    const bytes = Buffer.from(text);
    writeAt(fd, bytes, OUTPUT + output);
    output += bytes.length;
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
    isAnswered: () => answered === size,
    receive(bytes, whole) {
      const [before, used] = [place, size];
      if (answered > 0) moveToOther();
      writeAt(fd, bytes, INPUT[place] + size);
      input = Buffer.concat([input, bytes]);
      size += bytes.length;
      peeked = whole;
      from = null;
      save();
      if (place !== before && used > IDLE) {
        punchHole(fd, INPUT[before], INPUT[before] + Math.ceil(used / PAGE) * PAGE);
      }
    },
    received,
    pass(bytes) {
      conversation.left = (conversation.left ?? 0) - bytes;
      peeked = bytes;
      from = null;
      save();
    },
    exchange(bytes, text) {
      peeked = bytes;
      from = output;
      put(text);
      save();
    },
    settle() {
      if (peeked > 0 && (from === null || gone <= from)) received();
    },
    answer(bytes) {
      answered += bytes;
      begun.clear();
      begunSize = 0;
    },
    put,
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
  for (let done = 0; done < bytes.length;)
    done += putAt(fd, done === 0 ? bytes : bytes.subarray(done), position + done);
}
