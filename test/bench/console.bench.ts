// bench/console: what a request costs with 50 containers: round trips, requests that do not wait for each other, processor
// time, and what one client's doings cost another. The floor is a server of the same Node that answers every line with the same bytes
// and knows nothing (echo-floor.ts). Northstar's `list` takes 31 us a round trip, its `inspect` 312 us.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { copyFile, rm, stat } from 'node:fs/promises';
import { createConnection, type Socket } from 'node:net';
import { join } from 'node:path';
import { connect } from '../../src/client/northstate.ts';
import { documentOf, startDaemon, type Daemon } from '../support/test-daemon.ts';
import { bulk, probePackage } from '../support/packages.ts';
import { repeated, row, type Row } from './measure.ts';

const containers = 50;
const clients = 100;
/** Requests that are under way at once. */
const ahead = 50;
const list = '{"request":"list"}\n';
const inspect = '{"request":{"inspect":{"container":"c-0:1.0.0"}}}\n';
/** Clock ticks a second of /proc/PID/stat (sysconf(3), _SC_CLK_TCK): 100 on every Linux with glibc or musl. */
const ticks = 100;

export async function* bench(): AsyncGenerator<Row> {
  const packages = await Promise.all(
    Array.from({ length: containers }, (_, i) => probePackage({ name: `c-${i}`, args: ['sleep'] })),
  );
  packages.push(await probePackage({ name: 'extra', args: ['sleep'] }));
  const entries = Array.from({ length: containers }, (_, i) => `c-${i}: { state: running }`);
  const document = (dir: string) =>
    documentOf(dir, ...entries, 'extra: { state: mounted, restart: { policy: never } }');
  await using daemon = await startDaemon({
    asOnDevice: true,
    packages,
    document,
    limits: { requestsPerSecond: 1_000_000 },
  });
  await daemon.until('all run', ({ converged }) => converged);
  for (const [name, request] of [
    ['list', list],
    ['inspect', inspect],
  ] as const) {
    yield* besideFloor(daemon, name, request);
    yield row(
      'console',
      `${name}, ${clients} connections`,
      'us',
      await roundTrips(pathOf(daemon), request, clients, 100),
    );
  }
  yield row('console', 'list while containers start', 'us', await listBeside(daemon, startAndStop));
  yield row('console', 'list while an upload stalls', 'us', await listBeside(daemon, stallingUpload));
  yield* installs(daemon);
}

/** Round trips and requests that do not wait, by turns with the floor's: what the machine does meanwhile concerns both. */
async function* besideFloor(daemon: Daemon, name: string, request: string): AsyncGenerator<Row> {
  const { socket, bytesOf } = await opened(pathOf(daemon));
  await using floor = await echoServer(join(daemon.directory, `run/floor-${name}`), await bytesOf(request));
  socket.destroy();
  const sides = { floor: floor.path, measured: pathOf(daemon) };
  const trips: Record<keyof typeof sides, number[]> = { floor: [], measured: [] };
  const batches: typeof trips = { floor: [], measured: [] };
  const costs: number[] = [];
  for (let round = 0; round < 10; round++) {
    for (const side of ['floor', 'measured'] as const) {
      trips[side].push(...(await roundTrips(sides[side], request, 1, 500)));
      const before = processorTime(daemon);
      batches[side].push(...(await pipelined(sides[side], request, 4000)));
      if (side === 'measured') costs.push((processorTime(daemon) - before) / 4000);
    }
  }
  const [ofTrips, ofBatches] = [`echo for ${name}, one connection`, `echo for ${name}, pipelined`];
  yield row('console', ofTrips, 'us', trips.floor);
  yield row('console', `${name}, one connection`, 'us', trips.measured, ofTrips);
  yield row('console', ofBatches, 'us a request', batches.floor);
  yield row('console', `${name}, pipelined`, 'us a request', batches.measured, ofBatches);
  yield row('console', `${name}, processor time`, 'us', costs);
}

/** A server that answers every line with so many bytes. */
async function echoServer(path: string, bytes: number): Promise<{ path: string } & AsyncDisposable> {
  const program = join(import.meta.dirname, 'echo-floor.ts');
  const server = spawn(process.execPath, [program, path, String(bytes)], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(server.stdout, 'data');
  const exited = once(server, 'exit');
  return {
    path,
    async [Symbol.asyncDispose]() {
      server.kill();
      await exited;
    },
  };
}

function pathOf({ console: url }: Daemon): string {
  return url.slice('unix://'.length);
}

/** A connection that has said hello; `ask` gives when the answer's line is there, us. */
async function opened(path: string): Promise<{
  socket: Socket;
  ask(request: string, answers?: number): Promise<number>;
  bytesOf(request: string): Promise<number>;
}> {
  const socket = createConnection(path);
  let awaited = 0;
  let bytes = 0;
  let done = (): void => undefined;
  socket.on('data', (data: Buffer) => {
    bytes += data.length;
    for (const byte of data) if (byte === 0x0a) awaited -= 1;
    if (awaited === 0) done();
  });
  const ask = (request: string, answers = 1): Promise<number> =>
    new Promise((resolve) => {
      const begin = process.hrtime.bigint();
      awaited = answers;
      done = () => resolve(Number(process.hrtime.bigint() - begin) / 1000);
      socket.write(request);
    });
  await ask('{"connect":{"version":"0.9.2","subscribe_notifications":false}}\n');
  return {
    socket,
    ask,
    async bytesOf(request) {
      const before = bytes;
      await ask(request);
      return bytes - before;
    },
  };
}

/** Round trips of each of so many connections that ask at the same time, us. */
async function roundTrips(path: string, request: string, connections: number, rounds: number): Promise<number[]> {
  const all = await Promise.all(Array.from({ length: connections }, () => opened(path)));
  for (const { ask } of all) await ask(request); // what is compiled later is compiled now
  const samples = await Promise.all(all.map(({ ask }) => repeated(() => ask(request), rounds)));
  for (const { socket } of all) socket.destroy();
  return samples.flat();
}

/** us for each request of a connection that has 50 of them under way, by each 50: those that took long are in it like others. */
async function pipelined(path: string, request: string, count: number): Promise<number[]> {
  const { socket, ask } = await opened(path);
  const batch = request.repeat(ahead);
  const samples = await repeated(async () => (await ask(batch, ahead)) / ahead, count / ahead);
  socket.destroy();
  return samples;
}

/** User and system time of the reconciler, us. */
function processorTime(daemon: Daemon): number {
  const stats = readFileSync(`/proc/${daemon.reconciler() ?? 0}/stat`, 'utf8');
  const [, , , , , , , , , , , user = '0', system = '0'] = stats.slice(stats.lastIndexOf(')') + 2).split(' ');
  return ((Number(user) + Number(system)) * 1e6) / ticks;
}

/** Round trips of `list` on one connection, us, while something goes on at another. */
async function listBeside(
  daemon: Daemon,
  other: (daemon: Daemon, over: AbortSignal) => Promise<void>,
): Promise<number[]> {
  const over = new AbortController();
  const busy = other(daemon, over.signal);
  const { socket, ask } = await opened(pathOf(daemon));
  const samples = await repeated(() => ask(list), 3000);
  over.abort();
  socket.destroy();
  await busy;
  return samples;
}

async function startAndStop(daemon: Daemon, over: AbortSignal): Promise<void> {
  await using client = await connect({ url: daemon.console });
  while (!over.aborted) {
    await client.start('extra:1.0.0', { lifetime: 'boot' });
    await client.call('stop', { name: 'extra', lifetime: 'boot' });
  }
}

/** Announces a package and sends only its beginning. */
async function stallingUpload(daemon: Daemon, over: AbortSignal): Promise<void> {
  const { socket } = await opened(pathOf(daemon));
  socket.write('{"request":{"install":{"repository":"packages","size":100000000}}}\n');
  socket.write(Buffer.alloc(1_000_000));
  await new Promise((resolve) => over.addEventListener('abort', resolve, { once: true }));
  socket.destroy();
}

/** An installation of 32 MB against `cp` of the same file, ms. */
async function* installs(daemon: Daemon): AsyncGenerator<Row> {
  const file = await probePackage({ name: 'large', files: { 'big.txt': bulk(64_000_000) } });
  const { size } = await stat(file);
  const copy = join(daemon.repository, '.copy');
  const copies = await repeated(async () => {
    const begin = performance.now();
    await copyFile(file, copy);
    const took = performance.now() - begin;
    await rm(copy);
    return took;
  }, 5);
  const floor = `cp of ${Math.round(size / 1e6)} MB`;
  yield row('console', floor, 'ms', copies);
  await using client = await connect({ url: daemon.console });
  const installed = await repeated(async () => {
    const begin = performance.now();
    const container = await client.install('packages', file, { lifetime: 'boot' });
    const took = performance.now() - begin;
    await client.uninstall(container, { lifetime: 'boot' });
    return took;
  }, 5);
  yield row('console', 'install', 'ms', installed, floor);
}
