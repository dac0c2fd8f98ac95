// bench/stop: from `kill` to the notification of the exit, beside a C program that kills and reaps the same; and from the end
// that many containers are asked for until the last of them has ended, beside one that ends and unmounts as many.
import { setTimeout as delay } from 'node:timers/promises';
import { connectConsole, type Client } from '../../src/client/console-client.ts';
import { probePackage } from '../support/packages.ts';
import { documentOf, startDaemon } from '../support/test-daemon.ts';
import { endFloor } from './boot-floor.ts';
import { openFloor } from './floor.ts';
import { row, type Row } from './measure.ts';
import { mountedImage } from './mounted.ts';
import { onceEnded } from './rounds.ts';

const rounds = 100;
const sizes = [50, 200];
const container = 'plain:1.0.0';
const SIGTERM = 15;

export async function* bench(): AsyncGenerator<Row> {
  yield* killedAlone();
  for (const size of sizes) {
    const packages: string[] = [];
    for (let i = 0; i < size; i++) packages.push(await probePackage({ name: `c-${i}` }));
    const [least, rested, young, killed]: [number[], number[], number[], number[]] = [[], [], [], []];
    for (let round = 0; round < 3; round++) {
      least.push(await endFloor(packages));
      // The rest is over when whoever watches the start of the runtime has had its say.
      rested.push(await shutDown(packages, 3000));
      young.push(await shutDown(packages, 0));
      killed.push(await killAll(packages));
    }
    const floor = `floor: SIGTERM until ${size} are gone, without groups`;
    yield row('stop', floor, 'ms', least);
    yield row('stop', `shutdown of ${size}`, 'ms', rested, floor);
    yield row('stop', `shutdown of ${size} within its first second`, 'ms', young, floor);
    yield row('stop', `kill of ${size}, one after the other`, 'ms', killed, floor);
  }
}

/** The floor, and the kill of a container that runs. */
async function* killedAlone(): AsyncGenerator<Row> {
  const plain = await probePackage({
    name: 'plain',
    args: ['stamp', '-', 'sleep'],
    fields: 'mounts: { /proc: { type: proc } }\n',
  });
  await using image = await mountedImage(plain);
  await using floor = await openFloor(image.path);
  const entry = 'plain: { state: mounted, prepare: false, restart: { policy: never } }';
  await using daemon = await startDaemon({
    asOnDevice: true,
    packages: [plain],
    document: (dir) => documentOf(dir, entry),
  });
  await daemon.until('it is mounted', ({ converged }) => converged);
  for (const lifetime of ['boot', 'document'] as const) {
    using clients = await askingAndHearing(daemon.console);
    const { asking, hearing } = clients;
    const [least, told, answered]: [number[], number[], number[]] = [[], [], []];
    for (let round = 0; round < rounds; round++) {
      least.push((await floor.round()).end);
      await asking.call('start', { container, init: null, arguments: [], environment: {}, lifetime });
      await delay(20);
      const begin = performance.now();
      const ended = onceEnded(hearing, container).then(() => told.push(performance.now() - begin));
      await asking.call('kill', { container, signal: SIGTERM, lifetime });
      answered.push(performance.now() - begin);
      await ended;
    }
    yield row('stop', `floor: SIGKILL until all is gone (${lifetime})`, 'ms', least);
    yield row(
      'stop',
      `kill (${lifetime}) to the notification`,
      'ms',
      told,
      `floor: SIGKILL until all is gone (${lifetime})`,
    );
    yield row(
      'stop',
      `kill (${lifetime}) to its answer`,
      'ms',
      answered,
      `floor: SIGKILL until all is gone (${lifetime})`,
    );
  }
}

async function running(packages: readonly string[]) {
  const names = packages.map((_, i) => `c-${i}`);
  const daemon = await startDaemon({
    asOnDevice: true,
    packages,
    document: (dir) => documentOf(dir, ...names.map((name) => `${name}: { state: running }`)),
  });
  await daemon.until(
    'all run',
    ({ converged, containers }) => converged && Object.keys(containers).length === names.length,
  );
  return { daemon, names };
}

/** From SIGTERM until the launcher has ended: every container has had its `stop`, nothing is left mounted. */
async function shutDown(packages: readonly string[], rest: number): Promise<number> {
  const { daemon } = await running(packages);
  await using _ = daemon;
  daemon.unwatch();
  await delay(rest);
  const begin = performance.now();
  await daemon.stop();
  return performance.now() - begin;
}

/** Asked for at once on one connection; until the last exit is told. */
async function killAll(packages: readonly string[]): Promise<number> {
  const { daemon, names } = await running(packages);
  await using _ = daemon;
  daemon.unwatch();
  await delay(3000);
  using clients = await askingAndHearing(daemon.console);
  const { asking, hearing } = clients;
  const begin = performance.now();
  const ended = exits(hearing, names.length);
  await Promise.all(
    names.map((name) => asking.call('kill', { container: `${name}:1.0.0`, signal: SIGTERM, lifetime: 'boot' })),
  );
  await ended;
  return performance.now() - begin;
}

/** Whoever is told of an exit is not who has asked for it, and waits for no answer. */
async function askingAndHearing(console: string): Promise<Disposable & { asking: Client; hearing: Client }> {
  const asking = await connectConsole(console);
  const hearing = await connectConsole(console, { subscribe: true });
  return {
    asking,
    hearing,
    [Symbol.dispose]() {
      asking.close();
      hearing.close();
    },
  };
}

async function exits(client: Client, count: number): Promise<void> {
  let left = count;
  for await (const notification of client.notifications()) {
    if (typeof notification === 'object' && 'exit' in notification && --left === 0) return;
  }
}
