// bench/console: what a request costs with 100 containers: round trips, requests that do not wait for each other, processor
// time, and what one client's doings cost another. Northstar's `list` takes 31 us a round trip, its `inspect` 312 us.
import { readFileSync } from 'node:fs';
import { copyFile, rm, stat } from 'node:fs/promises';
import { createConnection, type Socket } from 'node:net';
import { join } from 'node:path';
import { connect } from '../../src/client/northstate.ts';
import { documentOf, startDaemon, type Daemon } from '../support/test-daemon.ts';
import { bulk, probePackage } from '../support/packages.ts';
import { repeated, row, type Row } from './measure.ts';

const containers = 100;
const clients = 100;
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
    yield row('console', `${name}, one connection`, 'us', await roundTrips(daemon, request, 1, 5000));
    yield row('console', `${name}, ${clients} connections`, 'us', await roundTrips(daemon, request, clients, 100));
    yield* pipelined(daemon, name, request, 20_000);
  }
  yield row('console', 'list while containers start', 'us', await listBeside(daemon, startAndStop));
  yield row('console', 'list while an upload stalls', 'us', await listBeside(daemon, stallingUpload));
  yield* installs(daemon);
}

/** A connection that has said hello; `ask` gives when the answer's line is there, us. */
async function opened(
  daemon: Daemon,
): Promise<{ socket: Socket; ask(request: string, answers?: number): Promise<number> }> {
  const socket = createConnection(daemon.console.slice('unix://'.length));
  let awaited = 0;
  let done = (): void => undefined;
  socket.on('data', (data: Buffer) => {
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
  return { socket, ask };
}

/** Round trips of each of so many connections that ask at the same time, us. */
async function roundTrips(daemon: Daemon, request: string, connections: number, rounds: number): Promise<number[]> {
  const all = await Promise.all(Array.from({ length: connections }, () => opened(daemon)));
  for (const { ask } of all) await ask(request); // what is compiled later is compiled now
  const samples = await Promise.all(all.map(({ ask }) => repeated(() => ask(request), rounds)));
  for (const { socket } of all) socket.destroy();
  return samples.flat();
}

/** Requests a second of a connection that does not wait for answers, and what each costs the reconciler, us. */
async function* pipelined(daemon: Daemon, name: string, request: string, count: number): AsyncGenerator<Row> {
  const { socket, ask } = await opened(daemon);
  const batch = request.repeat(100);
  const rates: number[] = [];
  const costs: number[] = [];
  for (let round = 0; round < count / 2000; round++) {
    const before = processorTime(daemon);
    let spent = 0;
    for (let part = 0; part < 20; part++) spent += await ask(batch, 100);
    rates.push(2000 / (spent / 1e6));
    costs.push((processorTime(daemon) - before) / 2000);
  }
  socket.destroy();
  yield row('console', `${name}, pipelined`, 'requests/s', rates);
  yield row('console', `${name}, processor time`, 'us', costs);
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
  const { socket, ask } = await opened(daemon);
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
  const { socket } = await opened(daemon);
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
