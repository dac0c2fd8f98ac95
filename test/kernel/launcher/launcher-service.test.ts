// What the init system is told (sd_notify(3)), and what a service does at a signal of it.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { test } from 'node:test';
import { startLauncher, within } from '../../support/test-launcher.ts';

interface InitSystem extends AsyncDisposable {
  readonly environment: { readonly NOTIFY_SOCKET: string; readonly WATCHDOG_USEC: string };
  /** The next line that is told. */
  heard(): Promise<string>;
  /** The next that is no sign of life. */
  other(): Promise<string>;
  /** How many signs of life there were. */
  lives(): number;
}

let made = 0;

/** An init system that waits for a sign of life in each 200 ms. Node has no datagram sockets of the UNIX domain. */
async function startInit(): Promise<InitSystem> {
  const name = `northstate-test-${process.pid}-${(made += 1)}`;
  const listen = `import socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("\\0${name}")
print("bound", flush=True)
while True: print(s.recv(1024).decode(), flush=True)`;
  const init = spawn('python3', ['-c', listen], { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface(init.stdout);
  let signs = 0;
  lines.on('line', (line) => (signs += line === 'WATCHDOG=1' ? 1 : 0));
  const each = lines[Symbol.asyncIterator]();
  const heard = async (): Promise<string> => (await within('a notification', each.next())).value as string;
  assert.equal(await heard(), 'bound');
  return {
    environment: { NOTIFY_SOCKET: `@${name}`, WATCHDOG_USEC: '200000' },
    heard,
    async other() {
      for (;;) {
        const line = await heard();
        if (line !== 'WATCHDOG=1') return line;
      }
    },
    lives: () => signs,
    async [Symbol.asyncDispose]() {
      init.kill();
      await within('its end', new Promise((resolve) => init.once('exit', resolve)));
    },
  };
}

/** Its own session has no terminal. */
const service = { wrapper: ['setsid', '--wait'] };
const impatient = { options: ['--patience', '1'] };

test('tells the init system that it is ready, what it waits for, that it reads everything anew, and that it stops', async () => {
  await using init = await startInit();
  await using launcher = await startLauncher(init.environment);
  const reconciler = await launcher.reconciler();
  // Signs of life need nobody to be ready.
  for (const _sign of [1, 2, 3]) assert.equal(await init.heard(), 'WATCHDOG=1');
  await reconciler.call('status', 'Running: waits for a');
  await reconciler.call('ready', 1);
  assert.deepEqual([await init.other(), await init.other()], ['READY=1', 'STATUS=Running: waits for a']);
  await reconciler.call('status', 'Running: all');
  await reconciler.call('drop', 'nothing');
  assert.equal(await init.other(), 'STATUS=Running: all');
  launcher.signal('SIGTERM');
  const said = [await init.other(), await init.other(), await init.other()];
  assert.deepEqual(said, [
    'STOPPING=1',
    'EXTEND_TIMEOUT_USEC=20000000',
    'STATUS=Stopping; containers that still run: 0',
  ]);
});

test('a line of a status begins no other one', async () => {
  await using launcher = await startLauncher();
  const reconciler = await launcher.reconciler();
  await assert.rejects(reconciler.call('status', 'Running\nMAINPID=1'));
  await launcher.said('a malformed frame');
});

test('SIGHUP has a successor read everything anew, awake or asleep, and the init system hears when it is ready', async () => {
  await using init = await startInit();
  await using launcher = await startLauncher(init.environment, service);
  const first = await launcher.reconciler();
  await first.call('ready', 1);
  assert.deepEqual([await init.other(), await init.other()], ['READY=1', 'STATUS=Running']);
  for (const asleep of [false, true]) {
    if (asleep) {
      const second = await launcher.reconciler();
      await second.call('ready', 1);
      assert.deepEqual([await init.other(), await init.other()], ['READY=1', 'STATUS=Running']);
      assert.equal(await second.call('sleep', false), true);
      await second.call('exit', 0).catch(() => undefined);
    }
    launcher.signal('SIGHUP');
    assert.equal(await init.other(), 'RELOADING=1');
    const now = /^MONOTONIC_USEC=(\d+)$/.exec(await init.other())?.[1];
    assert.ok(
      Math.abs(Number(now) / 1e6 - Number(process.hrtime.bigint()) / 1e9) < 60,
      `${now} is the time since the boot`,
    );
    assert.equal(await init.other(), 'STATUS=Reading everything anew');
  }
  const third = await launcher.reconciler();
  assert.equal(third.remembered.hello.deaths, 0);
  assert.equal(third.remembered.hello.terminating, false);
});

test('the watchdog is fed while a reconciler answers or sleeps, and over the death of one that hangs', async () => {
  await using init = await startInit();
  await using launcher = await startLauncher(init.environment, impatient);
  const first = await launcher.reconciler();
  await first.call('drop', 'nothing');
  process.kill(first.pid, 'SIGSTOP');
  const second = await launcher.reconciler();
  assert.equal(await second.call('sleep', false), true);
  await second.call('exit', 0).catch(() => undefined);
  const before = init.lives();
  await delay(6000);
  assert.ok(init.lives() - before > 20, `${init.lives() - before} signs of life`);
  assert.doesNotMatch(launcher.log(), /no reconciler answers/);
});

test('when no reconciler answers, the watchdog is not fed any more', async () => {
  await using init = await startInit();
  await using launcher = await startLauncher(init.environment, { ...impatient, program: ['sleep', '1000'] });
  await launcher.said('no reconciler answers: the init system gets no sign of life');
  const before = init.lives();
  assert.ok(before > 10, `${before} signs of life`);
  await delay(2000);
  assert.equal(init.lives(), before);
});
