// Serves a disk to qemu: the part of the NBD protocol (github.com/NetworkBlockDevice/nbd, doc/proto.md) that its block
// driver speaks to a server with one export: fixed newstyle negotiation, simple replies, FLUSH and FUA.
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import type { Disk } from './disk.ts';

const HANDSHAKE = Buffer.from('NBDMAGICIHAVEOPT\0\x03', 'latin1'); // fixed newstyle, no zeroes
const OPTION_REPLY = 0x3e889045565a9n;
const REQUEST = 0x25609513;
const REPLY = 0x67446698;
const options = { abort: 2, info: 6, go: 7 };
const replies = { ack: 1, info: 3, unsupported: 2 ** 31 + 1 };
const commands = { read: 0, write: 1, disconnect: 2, flush: 3 };
const FUA = 1;
const HAS_FLAGS_FLUSH_FUA = 1 | 4 | 8;
const EINVAL = 22;

export interface DiskServer {
  /** As qemu names it. */
  readonly url: string;
  /** Resolves when that many more requests to write or flush have come; that one and what follows is never answered. */
  stopAfter(requests: number): Promise<void>;
  /** From now on every request is answered. */
  goOn(): void;
  close(): Promise<void>;
}

/** Serves a disk on a socket at `path`, to one client at a time. */
export async function serveDisk(disk: Disk, path: string): Promise<DiskServer> {
  let left = Infinity;
  let stopped = Promise.withResolvers<void>();
  /** Whether the disk still does what it is asked. */
  const counts = (): boolean => {
    left -= 1;
    if (left === 0) stopped.resolve();
    return left > 0;
  };
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    // Qemu is killed in the middle of an answer: that is what this is for.
    socket.on('error', () => undefined);
    serve(socket, disk, counts).catch((error: unknown) => {
      if (!socket.destroyed) socket.destroy(error instanceof Error ? error : undefined);
    });
  });
  server.listen(path);
  await once(server, 'listening');
  return {
    url: `nbd+unix:///?socket=${path}`,
    stopAfter(requests) {
      stopped = Promise.withResolvers();
      left = requests;
      return stopped.promise;
    },
    goOn() {
      left = Infinity;
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

async function serve(socket: Socket, disk: Disk, counts: () => boolean): Promise<void> {
  const read = reader(socket);
  if (!(await negotiate(socket, disk, read))) return;
  for (;;) {
    const header = await read(28);
    if (header.readUInt32BE(0) !== REQUEST) throw new Error('this is no request of the NBD protocol');
    const flags = header.readUInt16BE(4);
    const command = header.readUInt16BE(6);
    const offset = Number(header.readBigUInt64BE(16));
    const length = header.readUInt32BE(24);
    const answer = (error: number, data?: Buffer): void => {
      const reply = Buffer.alloc(16);
      reply.writeUInt32BE(REPLY, 0);
      reply.writeUInt32BE(error, 4);
      header.copy(reply, 8, 8, 16);
      socket.write(reply);
      if (data !== undefined) socket.write(data);
    };
    if (command === commands.disconnect) return void socket.end();
    if (command === commands.read) answer(0, Buffer.from(disk.content.subarray(offset, offset + length)));
    else if (command === commands.write) {
      const bytes = await read(length);
      if (!counts()) continue;
      disk.write(offset, bytes, (flags & FUA) !== 0);
      answer(0);
    } else if (command === commands.flush) {
      if (!counts()) continue;
      disk.flush();
      answer(0);
    } else answer(EINVAL);
  }
}

/** Until the client begins with the transmission; false when it leaves instead. */
async function negotiate(socket: Socket, disk: Disk, read: (length: number) => Promise<Buffer>): Promise<boolean> {
  socket.write(HANDSHAKE);
  await read(4); // the client's flags
  const size = Buffer.alloc(8);
  size.writeBigUInt64BE(BigInt(disk.size));
  const description = Buffer.concat([size, Buffer.of(0, HAS_FLAGS_FLUSH_FUA)]);
  for (;;) {
    const header = await read(16);
    const option = header.readUInt32BE(8);
    await read(header.readUInt32BE(12));
    const reply = (type: number, data = Buffer.alloc(0)): void => {
      const head = Buffer.alloc(20);
      head.writeBigUInt64BE(OPTION_REPLY, 0);
      head.writeUInt32BE(option, 8);
      head.writeUInt32BE(type, 12);
      head.writeUInt32BE(data.length, 16);
      socket.write(Buffer.concat([head, data]));
    };
    if (option === options.info || option === options.go) {
      reply(replies.info, Buffer.concat([Buffer.of(0, 0), description])); // NBD_INFO_EXPORT
      reply(replies.ack);
      if (option === options.go) return true;
    } else if (option === options.abort) {
      reply(replies.ack);
      socket.end();
      return false;
    } else reply(replies.unsupported);
  }
}

/** Gives the next `length` bytes of a socket; rejects when it ends before. */
function reader(socket: Socket): (length: number) => Promise<Buffer> {
  const chunks = socket[Symbol.asyncIterator]() as AsyncIterator<Buffer, undefined>;
  let rest: Buffer = Buffer.alloc(0);
  return async (length) => {
    const parts = [rest];
    for (let have = rest.length; have < length;) {
      const { value } = await chunks.next();
      if (value === undefined) throw new Error('the client has hung up');
      parts.push(value);
      have += value.length;
    }
    const all = Buffer.concat(parts);
    rest = all.subarray(length);
    return all.subarray(0, length);
  };
}
