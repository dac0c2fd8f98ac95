// northstate cp: a file out of a container, or into it.
import { open, rename, rm, stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { drained } from '../console/protocol/outbox.ts';
import type { Northstate, Session } from '../client/northstate.ts';
import { withConsole, type ConsoleOptions } from './console.ts';
import { exitCodes, Failure } from './exit.ts';

/** A file of a container. */
interface Inside {
  readonly name: string;
  readonly path: string;
}

const permissionBits = 0o777;

/** One of the two is NAME:/path, the other a file of ours; - is a stream. */
export async function cp(from: string, to: string, options: ConsoleOptions): Promise<void> {
  const [source, target] = [insideOf(from), insideOf(to)];
  if ((source === null) === (target === null))
    throw new Failure('one of the two is NAME:/path', { code: exitCodes.usage, hint: 'a file of ours: ./NAME:/path' });
  await withConsole(options, async (client) => {
    if (source !== null) await copyOut(client, source, to);
    else if (target !== null) await copyIn(client, from, target);
  });
}

function insideOf(text: string): Inside | null {
  const [, name, path] = /^([0-9A-Za-z._-]+(?::\d+\.\d+\.\d+)?):(\/.*)$/s.exec(text) ?? [];
  return name === undefined || path === undefined ? null : { name, path };
}

/** The file is there when it is whole. */
async function copyOut(client: Northstate, { name, path }: Inside, to: string): Promise<void> {
  const session = await client.copy({ name, path, direction: 'out' });
  if (to === '-') {
    await receive(session, path, writeOut);
    return;
  }
  const beside = `${to}.${process.pid}.part`;
  const file = await open(beside, 'wx');
  try {
    await receive(session, path, (data) => file.writeFile(data));
    await file.close();
    await rename(beside, to);
  } catch (error) {
    await file.close();
    await rm(beside, { force: true });
    throw error;
  }
}

async function writeOut(data: Buffer): Promise<void> {
  if (!process.stdout.write(data)) await drained(process.stdout);
}

async function receive(session: Session, path: string, take: (data: Buffer) => Promise<void>): Promise<void> {
  try {
    for await (const { stream, data } of session.output()) if (stream === 'stdout') await take(data);
    await checkEnd(session, path);
  } finally {
    session.close();
  }
}

async function copyIn(client: Northstate, from: string, { name, path }: Inside): Promise<void> {
  // How much comes is said before.
  const { size, mode, bytes } = from === '-' ? inMemory(await buffer(process.stdin)) : await fileOf(from);
  const session = await client.copy({ name, path, direction: 'in', size, mode: mode & permissionBits });
  try {
    const over = drain(session);
    for await (const data of bytes) await session.write(data as Buffer);
    // Of a file that has become shorter the rest is not waited for.
    await session.end().catch(() => undefined);
    await over;
    await checkEnd(session, path);
  } finally {
    session.close();
  }
}

/** What is copied in: `bytes` gives no more than `size`. */
interface Input {
  readonly size: number;
  readonly mode: number;
  readonly bytes: Readable;
}

function inMemory(content: Buffer): Input {
  return { size: content.length, mode: 0o644, bytes: Readable.from([content]) };
}

async function fileOf(path: string): Promise<Input> {
  const { size, mode } = await stat(path);
  const file = await open(path);
  return { size, mode, bytes: file.createReadStream({ ...(size > 0 && { end: size - 1 }) }) };
}

/** Reads on until it is over. */
async function drain(session: Session): Promise<void> {
  for await (const _ of session.output()) continue;
}

async function checkEnd(session: Session, path: string): Promise<void> {
  const { exit, failure } = await session.ended;
  if (failure !== null) throw new Failure(failure);
  if ('signal' in exit) throw new Failure(`${path}: the copy was ended by signal ${exit.signal}`);
}
