// Another runtime takes over under running containers: this build and one that differs, back and forth, under edits, commands and
// kills. NORTHSTATE_TAKEOVERS says how often; `npm run test:reexec` does it a hundred times.
import assert from 'node:assert/strict';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { connectConsole, ConnectionLost, ConsoleError, type Client } from '../../../src/client/console-client.ts';
import { createRandom } from '../../sim/random.ts';
import { freePort } from '../../support/free-port.ts';
import { leftovers, openDescriptors } from '../../support/leaks.ts';
import { probePackage } from '../../support/packages.ts';
import { copyFirstBuild, firstBuild, makeSecondBuild, type Installation } from '../../support/second-build.ts';
import { untilLogged } from '../../support/successor.ts';
import { documentOf, startDaemon, type Daemon } from '../../support/test-daemon.ts';

const takeovers = Number(process.env['NORTHSTATE_TAKEOVERS'] ?? 2);
const second = makeSecondBuild();
const directory = mkdtempSync(join(tmpdir(), 'northstate-reexec-'));
after(() => {
  second[Symbol.dispose]();
  rmSync(directory, { recursive: true });
});

const say = (message: string): string[] => ['print', '3', message, 'hear', '3', '1'];
const hello = '{"connect":{"version":"0.9.2","subscribe_notifications":false}}';
const steady = await Promise.all([
  ...Array.from({ length: 11 }, (_, index) =>
    probePackage({ name: `steady-${index}`, args: ['print', '1', 'up', 'sleep'] }),
  ),
  ...['flood-1', 'flood-2'].map((name) =>
    probePackage({ name, args: ['flood'], fields: 'cgroups: { cpu: { shares: 20 } }\n' }),
  ),
  ...['socket-1', 'socket-2'].map((name) =>
    probePackage({
      name,
      args: ['receive', '3', 'sleep'],
      fields: 'sockets: { log: { type: datagram, mode: 0o622 } }',
    }),
  ),
  ...['console-1', 'console-2'].map((name) =>
    probePackage({
      name,
      args: [...say(hello), 'count', '3', '200000', 'sleep'],
      fields: 'console: { permissions: full }\n',
    }),
  ),
]);
/** It says for ten minutes that it lives, on the socket in its /dev: unheard for some seconds it would begin anew. */
const alive = await probePackage({
  name: 'alive',
  args: [
    ...Array.from({ length: 300 }, () => ['send', '2', '/dev/northstate-notify', 'WATCHDOG=1', 'wait', '2000']).flat(),
    'sleep',
  ],
  fields: 'mounts: { /dev: { type: dev } }\n',
});
const names = [
  ...Array.from({ length: 11 }, (_, index) => `steady-${index}`),
  ...['flood-1', 'flood-2', 'socket-1', 'socket-2', 'console-1', 'console-2', 'alive'],
];
const crash = await probePackage({ name: 'crash', args: ['exit', '3'] });
const edited = await probePackage({ name: 'edited', args: ['sleep'] });
const ordered = await probePackage({ name: 'ordered', args: ['sleep'] });

function document(packages: string, level: number): string {
  return documentOf(
    packages,
    ...names.filter((name) => name !== 'alive').map((name) => `${name}: { state: running }`),
    'crash: { state: running, restart: { backoff: 300ms, maxBackoff: 300ms } }',
    `edited: { state: running, env: { LEVEL: '${level}' } }`,
    'ordered: { state: running }',
    'alive: { state: running, health: { watchdog: 10s } }',
  );
}

type Pids = Readonly<Record<string, number | null | undefined>>;

async function pidsOf(client: Client): Promise<Pids> {
  const { status } = await client.call('get', null);
  return Object.fromEntries(names.map((name) => [name, status.containers[name]?.pid]));
}

/** Commands, one after the other, until it is aborted; whoever ends with its connection, as a restart does that is interrupted, connects again. */
async function command(url: string, signal: AbortSignal): Promise<number> {
  let done = 0;
  const isOver = (): boolean => signal.aborted;
  while (!isOver()) {
    const client = await connectConsole(url);
    try {
      while (!isOver()) {
        await client.call('restart', { name: 'ordered', timeout: 60_000 });
        done += 1;
        await client.call('list', null);
      }
    } catch (error) {
      if (!(error instanceof ConnectionLost)) throw error;
    } finally {
      client.close();
    }
  }
  return done;
}

/** Connects and asks, one after the other, until it is aborted: somebody is always there. */
async function comeAndGo(url: string, signal: AbortSignal): Promise<number> {
  let done = 0;
  const isOver = (): boolean => signal.aborted;
  while (!isOver()) {
    const client = await connectConsole(url);
    await client.call('ident', null);
    client.close();
    done += 1;
    await delay(5);
  }
  return done;
}

/** Has the other build take over; kills the reconciler now and then. */
async function takeOver(
  daemon: Daemon,
  client: Client,
  to: Pick<Installation, 'directory' | 'version'>,
  kill: number | null,
) {
  for (;;) {
    const killed = kill === null ? null : delay(kill).then(() => process.kill(daemon.reconciler() ?? 0, 'SIGKILL'));
    const answer = client.call('reexec', { to: to.directory, timeout: 60_000 });
    try {
      const [{ runtime }] = await Promise.all([answer, killed?.catch(() => undefined)]);
      assert.equal(runtime, to.version);
      return;
    } catch (error) {
      // It was killed while the other one proved itself: the next one says that nothing has changed.
      if (kill === null || !(error instanceof ConsoleError) || !/interrupted/.test(error.message)) throw error;
      kill = null;
    }
  }
}

test(`${takeovers} takeovers between two builds, under edits, commands, floods and kills, and nothing is lost`, async () => {
  const before = openDescriptors();
  const random = createRandom(Number(process.env['NORTHSTATE_SEED'] ?? 1));
  await using daemon = await startDaemon({
    packages: [...steady, alive, crash, edited, ordered],
    document: (packages) => document(packages, 0),
  });
  await daemon.until('all run', ({ containers }) => names.every((name) => containers[name]?.phase === 'Running'));
  daemon.unwatch();
  using open = new DisposableStack();
  const connect = async (options = {}): Promise<Client> =>
    open.adopt(await connectConsole(daemon.console, options), (each) => each.close());
  const client = await connect();
  const pids = await pidsOf(client);
  const subscriber = await connect({ subscribe: true });
  const { sequence: from } = await client.call('events', { since: null, boot: null, follow: false });
  const heard: string[] = [];
  const hearing = (async () => {
    for await (const notification of subscriber.notifications()) heard.push(JSON.stringify(notification));
  })();
  const watcher = await connect();
  const { sequence: first } = await watcher.call('watch', null);
  const changes: number[] = [];
  const watching = (async () => {
    for await (const notification of watcher.notifications())
      if (typeof notification === 'object' && 'status' in notification) changes.push(notification.status.sequence);
  })();
  const ending = open.adopt(new AbortController(), (each) => each.abort());
  const commands = [
    command(daemon.console, ending.signal),
    ...Array.from({ length: 3 }, () => comeAndGo(daemon.console, ending.signal)),
  ];
  const told: string[] = [];
  let last = from;
  const follow = async (): Promise<void> => {
    const { events, sequence, gap } = await client.call('events', { since: last, boot: null, follow: false });
    assert.equal(gap, null);
    told.push(...events.map(({ event }) => JSON.stringify(event)));
    last = sequence;
  };

  for (let round = 1; round <= takeovers; round++) {
    await daemon.write(document(daemon.repository, round));
    const kill = round % 4 === 3 ? random.between(0, 600) : null;
    const taken = takeOver(daemon, client, round % 2 === 1 ? second : firstBuild, kill);
    // Asked before it is there: answered by whoever takes over, or is killed.
    const other = await connectConsole(daemon.console);
    const shown = pidsOf(other).finally(() => other.close());
    await taken;
    assert.deepEqual([await shown, await pidsOf(client)], [pids, pids], `takeover ${round}`);
    await follow();
  }

  ending.abort();
  for (const done of await Promise.all(commands)) assert.ok(done > 0);
  const { status } = await client.call('get', null);
  assert.equal(status.document.status, 'ok');
  await follow();
  const own = told.filter((line) => /"(?:started|exit)"/.test(line));
  while (heard.length < own.length) await delay(20);
  assert.deepEqual(heard.slice(0, own.length), own);
  assert.deepEqual(
    changes,
    Array.from({ length: changes.length }, (_, index) => first + 1 + index),
  );
  open.dispose();
  await Promise.all([hearing, watching]);
  assert.equal(await daemon.stop(), 0, daemon.log());
  assert.deepEqual(await leftovers(daemon.mark, before), []);
});

/** Connects over TCP and has hello answered, or scrapes, one after the other, until it is aborted; gives what was hung up. */
async function knock(port: number, asks: string, answered: RegExp, signal: AbortSignal): Promise<string[]> {
  const lost: string[] = [];
  const isOver = (): boolean => signal.aborted;
  while (!isOver()) {
    const socket = connect(port, '127.0.0.1').setEncoding('utf8');
    let said = '';
    try {
      socket.write(asks);
      for await (const part of socket) if (answered.test((said += String(part)))) break;
      if (!answered.test(said)) lost.push(`${asks}: ended after ${said.length} bytes`);
    } catch (error) {
      lost.push(`${asks}: ${String(error)} after ${said.length} bytes`);
    } finally {
      socket.destroy();
    }
    await delay(2);
  }
  return lost;
}

test('who connects over TCP or scrapes in the moment of a takeover is served by one of the two', async () => {
  const [console, metrics] = [await freePort(), await freePort()];
  await using daemon = await startDaemon({
    configuration: `metrics: { listen: "tcp://127.0.0.1:${metrics}" }\n`,
    consoles: [`{ listen: "tcp://127.0.0.1:${console}", permissions: [list] }`],
    packages: [edited],
    document: (packages) => documentOf(packages, 'edited: { state: running }'),
  });
  await daemon.untilContainer('edited', 'runs', ({ phase }) => phase === 'Running');
  daemon.unwatch();
  const client = await connectConsole(daemon.console);
  const ending = new AbortController();
  const knocking = [
    knock(console, `${hello}\n`, /connect_ack.*\n/, ending.signal),
    knock(
      metrics,
      `GET /metrics HTTP/1.1\r\nhost: a\r\naccept: application/openmetrics-text\r\n\r\n`,
      /# EOF\n/,
      ending.signal,
    ),
  ];
  for (let round = 1; round <= 3; round++) await takeOver(daemon, client, round % 2 === 1 ? second : firstBuild, null);
  ending.abort();
  assert.deepEqual((await Promise.all(knocking)).flat(), []);
  client.close();
});

test('what does not prove itself changes nothing, and why is said', async () => {
  await using daemon = await startDaemon({
    // The reconciler is asked for by its process.
    configuration: 'sleep: { after: never }\n',
    packages: [edited],
    document: (packages) => documentOf(packages, 'edited: { state: running }'),
  });
  const { pid } = await daemon.untilContainer('edited', 'runs', ({ phase }) => phase === 'Running');
  const reconciler = daemon.reconciler();
  const refusal = async (...args: string[]): Promise<string> => {
    const { code, stderr } = await daemon.run('reexec', ...args);
    assert.equal(code, 3, stderr);
    assert.equal(daemon.reconciler(), reconciler);
    return stderr;
  };
  assert.match(await refusal('--to', directory), /holds no installation: it has no northstate/);
  const broken = join(directory, 'broken');
  writeInstallation(broken, '#!/bin/sh\nexit 9\n');
  assert.match(await refusal('--to', broken), /ended with exit code 9 before it had proven itself/);
  writeInstallation(broken, '#!/bin/sh\nexec sleep 1000\n');
  assert.match(await refusal('--to', broken, '--timeout', '500ms'), /has not proven itself in time \(ETIMEDOUT\)/);
  chmodSync(join(broken, 'bundle'), 0o777);
  assert.match(await refusal('--to', broken), /bundle/);
  // One that takes what runs for something else.
  using other = makeSecondBuild([
    {
      file: 'controllers/containers/attempt-record.ts',
      from: 'as Partial<AttemptRecord>) };',
      to: "as Partial<AttemptRecord>), entry: 'another' };",
    },
  ]);
  assert.match(await refusal('--to', other.directory), /northstate 0.1.1 would do what this one would not: \w+ edited/);
  const { status } = await (async () => {
    const client = await connectConsole(daemon.console);
    return await client.call('get', null).finally(() => client.close());
  })();
  assert.equal(status.containers['edited']?.pid, pid);
});

test('files that are replaced under a runtime: the next reconciler has its own launcher take over', async () => {
  using installed = copyFirstBuild();
  await using daemon = await startDaemon({
    program: installed.command,
    packages: [edited],
    document: (packages) => documentOf(packages, 'edited: { state: running }'),
  });
  const { pid } = await daemon.untilContainer('edited', 'runs', ({ phase }) => phase === 'Running');
  const client = await connectConsole(daemon.console);
  await client.call('list', null);
  // As an upgrade does: beside its place, then renamed.
  const replace = (name: string): void => {
    const target = join(installed.directory, name);
    cpSync(join(second.directory, name), `${target}.new`, { recursive: true });
    renameSync(target, `${target}.old`);
    renameSync(`${target}.new`, target);
  };
  ['.build/bundle', '.build/northstate-launcher', '.build/northstate-player', 'package.json'].forEach(replace);
  process.kill(daemon.reconciler() ?? 0, 'SIGKILL');
  await untilLogged(daemon, 'northstate 0.1.1 has taken over');
  const { status } = await client.call('get', null);
  assert.equal(status.containers['edited']?.pid, pid);
  client.close();
  assert.equal(await daemon.stop(), 0, daemon.log());
});

/** Files of the names that an installation has. */
function writeInstallation(folder: string, script: string): void {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(join(folder, 'bundle'), { recursive: true });
  for (const name of ['northstate', 'northstate-launcher', 'northstate-player', 'node', 'bundle/daemon.cjs']) {
    writeFileSync(join(folder, name), script, { mode: 0o755 });
  }
}
