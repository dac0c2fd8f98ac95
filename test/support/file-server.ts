// A server of files on loopback, which counts what it is asked for and can be told to misbehave.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface FileServer extends AsyncDisposable {
  /** The address of a file. */
  url(name: string): URL;
  /** What is served, by name. */
  readonly files: Map<string, Buffer>;
  /** Requests so far: the range that each asked for, '' = none. */
  readonly asked: string[];
  /** Bytes of bodies that were sent so far. */
  readonly sent: number;
  /** Answers a request instead of the server; false = it does not. */
  misbehave: ((request: IncomingMessage, response: ServerResponse) => boolean) | null;
  readonly port: number;
}

/** Starts one, with ranges, `several` of them in one answer, If-Range and strong ETags as RFC 9110 has them. */
export async function fileServer(
  files: Readonly<Record<string, Buffer>>,
  { several = true } = {},
): Promise<FileServer> {
  const served = new Map(Object.entries(files));
  const asked: string[] = [];
  const state = { sent: 0, misbehave: null as FileServer['misbehave'] };
  const server = createServer((request, response) => {
    asked.push(request.headers.range ?? '');
    if (state.misbehave?.(request, response) === true) return;
    const data = served.get(new URL(request.url ?? '', 'http://localhost').pathname.slice(1));
    if (data === undefined) {
      response.writeHead(404).end();
      return;
    }
    answer(data, request, response);
  });

  function answer(data: Buffer, { headers }: IncomingMessage, response: ServerResponse): void {
    const etag = etagOf(data);
    const { range, 'if-range': condition = etag } = headers;
    if (several && condition === etag && range?.includes(',') === true) {
      const body = Buffer.concat(parts(data, range));
      state.sent += body.length;
      const type = `multipart/byteranges; boundary=${boundary}`;
      response.writeHead(206, { etag, 'content-type': type, 'content-length': body.length });
      response.end(body);
      return;
    }
    const place = range === undefined || condition !== etag ? null : rangeOf(range, data.length);
    const body = place === null ? data : data.subarray(place.from, place.to);
    const part = place && { 'content-range': `bytes ${place.from}-${place.to - 1}/${data.length}` };
    response.writeHead(place === null ? 200 : 206, { etag, 'content-length': body.length, ...part });
    state.sent += body.length;
    response.end(body);
  }

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    files: served,
    asked,
    port,
    url: (name) => new URL(`http://127.0.0.1:${port}/${name}`),
    get sent() {
      return state.sent;
    },
    get misbehave() {
      return state.misbehave;
    },
    set misbehave(way) {
      state.misbehave = way;
    },
    [Symbol.asyncDispose]: () => closed(server),
  };
}

/** The validator that the server gives of a file. */
export function etagOf(data: Buffer): string {
  const etag = etags.get(data) ?? `"${createHash('sha256').update(data).digest('hex').slice(0, 16)}"`;
  etags.set(data, etag);
  return etag;
}

const etags = new WeakMap<Buffer, string>();

const boundary = 'PARTS';

function parts(data: Buffer, ranges: string): Buffer[] {
  const found = ranges
    .replace('bytes=', '')
    .split(',')
    .map((range) => rangeOf(`bytes=${range}`, data.length));
  return [
    ...found.flatMap((place) => {
      if (place === null) return [];
      const range = `content-range: bytes ${place.from}-${place.to - 1}/${data.length}`;
      const head = `\r\n--${boundary}\r\ncontent-type: application/octet-stream\r\n${range}\r\n\r\n`;
      return [Buffer.from(head), data.subarray(place.from, place.to)];
    }),
    Buffer.from(`\r\n--${boundary}--\r\n`),
  ];
}

function rangeOf(range: string, size: number): { readonly from: number; readonly to: number } | null {
  const [, first = '', last = ''] = /^bytes=(\d*)-(\d*)$/.exec(range) ?? [];
  if (first === '') return { from: Math.max(0, size - Number(last)), to: size };
  return Number(first) < size ? { from: Number(first), to: Math.min(size, Number(last) + 1) } : null;
}

async function closed(server: Server): Promise<void> {
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
}
