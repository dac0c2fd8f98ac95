// What a kept channel does with its socket and its file, step by step, so that a successor knows after any of them how far it came.
//
// What comes is looked at first. A request that changes nothing is answered from there, and only together with its answer is it
// written down that it was received: should this process end before, the request still waits in the socket. Before anything
// else is done everything is written down (settle).
import { available, peek, peeked, sendFromFile, setPeeked, take, takeInto } from '../../../native/socket-pair.ts';
import { SyscallError } from '../../../native/libc.ts';
import type { KeptFile } from './kept-file.ts';

/** Bytes that are read at once. */
const CHUNK = 64 * 1024;
/** The same of a package. */
const PASSED = 256 * 1024;
/** Characters of answers that wait for others to go along with. */
const GATHERED = 64 * 1024;

export interface Exchange {
  /** What the socket has, empty at its end, null when it has nothing now. Bytes of a package are valid until the next call. */
  receive(): Buffer | null;
  /** So many bytes of what was received were given to whoever reads. */
  used(bytes: number): void;
  /** How many since the last time, which are answered now. */
  given(): number;
  /** Answers all that was given by a line, which goes with the next settle(); false: it is time for that. */
  gather(line: string): boolean;
  /** Writes down what was received and what is answered, and sends the answers. */
  settle(): void;
  /** Sends what there is room for; whether that is all. */
  send(): boolean;
}

/** `close` is called when nobody reads any more. */
export function createExchange(socket: number, file: KeptFile, close: () => void): Exchange {
  recover(socket, file);
  /** Of what was given, what is not answered yet. */
  let given = 0;
  /** Bytes of a package that were taken and not given yet. */
  let passed = 0;
  /** Where they are, as long as one comes: pieces with memory of their own would be garbage of its size. */
  let passage: Buffer | null = null;
  /** What was looked at alone, how much of it was given, and answered. */
  let open: Buffer | null = null;
  let openUsed = 0;
  let openAnswered = 0;
  let answers: string[] = [];
  let gathered = 0;

  function receive(): Buffer | null {
    settle();
    file.settle();
    const { left } = file.conversation;
    if (left !== null && left > 0) return pass(left);
    passage = null;
    const size = peek(socket, room);
    if (size === null || size === 0) return size === null ? null : Buffer.alloc(0);
    const bytes = Buffer.from(room.subarray(0, size));
    if (file.isAnswered()) {
      open = bytes;
      openUsed = openAnswered = 0;
      return bytes;
    }
    file.receive(bytes, size);
    take(socket, size);
    file.received();
    return bytes;
  }

  /** The bytes of a package are copied once, and not written down. */
  function pass(left: number): Buffer | null {
    let size = Math.min(available(socket), left, PASSED);
    if (size === 0) {
      // The end looks like nothing, and something may have come meanwhile.
      const found = peek(socket, room.subarray(0, 1));
      if (found === null || found === 0) return found === null ? null : Buffer.alloc(0);
      size = found;
    }
    setPeeked(socket, size);
    file.pass(size);
    passage ??= Buffer.allocUnsafeSlow(PASSED);
    const bytes = passage.subarray(0, size);
    takeInto(socket, bytes);
    passed += size;
    return bytes;
  }

  function settle(): void {
    const text = answers.length === 1 ? (answers[0] ?? '') : answers.join('');
    if (open !== null) writeDown(open, text);
    else if (text !== '') {
      file.put(text);
      file.save();
    }
    if (text === '') return;
    answers = [];
    gathered = 0;
    send();
  }

  function writeDown(bytes: Buffer, text: string): void {
    open = null;
    if (openAnswered === bytes.length) {
      file.exchange(bytes.length, text);
      take(socket, bytes.length);
      return;
    }
    if (text !== '') file.put(text);
    file.receive(bytes.subarray(openAnswered), bytes.length);
    take(socket, bytes.length);
    file.received();
  }

  function send(): boolean {
    try {
      while (file.unsent() > 0) {
        const sent = sendFromFile(socket, file.fd, file.unsent());
        if (sent === null) return false;
        file.sent(sent);
      }
    } catch (error) {
      if (!(error instanceof SyscallError)) throw error;
      close();
    }
    return true;
  }

  return {
    receive,
    used(bytes) {
      const { conversation } = file;
      if (open !== null) openUsed += bytes;
      if (conversation.left === null) {
        given += bytes;
        return;
      }
      if (passed > 0) {
        passed -= bytes;
        return;
      }
      // What came of a package together with its request.
      conversation.left -= bytes;
      file.answer(given + bytes);
      given = 0;
    },
    given() {
      const bytes = given;
      given = 0;
      return bytes;
    },
    gather(line) {
      answers.push(line);
      gathered += line.length;
      if (open === null) file.answer(given);
      else openAnswered = openUsed;
      given = 0;
      return gathered < GATHERED;
    },
    settle,
    send,
  };
}

const room = Buffer.allocUnsafeSlow(CHUNK);

/** What was written down as received is taken now if it was not; what was only looked at is looked at again. */
function recover(socket: number, file: KeptFile): void {
  const looked = peeked(socket);
  if (looked > 0 && file.peeked > 0) take(socket, looked);
  else if (looked > 0) setPeeked(socket, 0);
  if (file.peeked > 0) file.received();
}
