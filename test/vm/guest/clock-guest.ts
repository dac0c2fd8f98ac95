// A machine that comes up in 1970 and learns the time later, as one without a battery does. Runs in the guest: nobody else has
// this clock.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { run } from '../../support/command.ts';
import { documentOf, startDaemon } from '../../support/test-daemon.ts';
import { probePackage } from '../../support/packages.ts';
import { running } from '../../support/scenario.ts';
import { asleep } from '../../support/sleeper.ts';

const began = Date.now();
const started = performance.now();

/** Sets the clock of the machine: ms since 1970. */
async function setClock(time: number): Promise<void> {
  assert.equal((await run('date', ['-s', `@${Math.trunc(time / 1000)}`])).code, 0);
}
const now = (): number => began + performance.now() - started;
after(() => setClock(now()));

for (const [how, configuration] of [
  ['that is awake', 'sleep: { after: never }\n'],
  ['that sleeps', 'sleep: { after: 200ms }\n'],
] as const)
  test(`a runtime ${how} tells the times of before as soon as the clock is set`, async () => {
    await setClock(3_600_000);
    const app = await probePackage({ name: 'app', args: ['print', '1', 'here', 'sleep'] });
    const document = (directory: string) => documentOf(directory, 'app: { version: 1.0.0, state: running }');
    await using daemon = await startDaemon({ packages: [app], document, configuration });
    const first = await running(daemon, 'app');
    assert.match(first.since, /^1970-/);
    daemon.unwatch();
    if (how === 'that sleeps') await asleep(daemon);

    await setClock(now());
    const { stdout } = await daemon.run('get', '-o', 'json');
    const { containers } = JSON.parse(stdout) as { containers: Record<string, typeof first> };
    const said = containers['app'];
    const isNow = (time: string | undefined): boolean => Math.abs(Date.parse(time ?? '') - now()) < 60_000;
    assert.ok(isNow(said?.since), stdout);
    for (const { lastTransition } of said?.conditions ?? []) assert.ok(isNow(lastTransition), stdout);
    assert.equal(said?.pid, first.pid);
    const events = await daemon.run('events');
    assert.ok(
      events.stdout
        .split('\n')
        .filter((line) => line !== '')
        .every((line) => isNow(line.slice(0, 24))),
      events.stdout,
    );
    const logs = await daemon.run('logs', '--timestamps', 'app');
    assert.ok(isNow(logs.stdout.slice(0, 24)), logs.stdout);
  });
