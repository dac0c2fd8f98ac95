// Sandboxes that are made in advance: the next start is theirs, and nobody is told of them.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { removeGroups } from '../../support/leftover-groups.ts';
import { probePackage } from '../../support/packages.ts';
import { inits, lines, running, withDaemon } from '../../support/scenario.ts';
import { asleep, eventually, statusOf, withSleeper } from '../../support/sleeper.ts';
import { succeed } from '../../support/successor.ts';
import type { Daemon } from '../../support/test-daemon.ts';

const app = await probePackage({ name: 'app', args: ['print', '1', 'here', 'sleep'] });
const held = await probePackage({
  name: 'held',
  args: ['sleep'],
  fields: 'mounts: { /media: { type: bind, host: /media } }\n',
});

async function made(daemon: Daemon, before: readonly number[] = []): Promise<number> {
  const fresh = (): number[] => inits(daemon).filter((pid) => !before.includes(pid));
  await eventually('a sandbox is made in advance', daemon, () => fresh().length === 1);
  return fresh()[0] ?? 0;
}

function groupsOf(pid: number): string {
  return readFileSync(`/proc/${pid}/cgroup`, 'utf8');
}

async function ok(daemon: Daemon, ...command: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await daemon.run(...command);
  assert.equal(code, 0, stderr);
  return stdout;
}

test('what is mounted has its sandbox after a while: it is the one that starts, and the status is as before', async () => {
  const entries = ['app: { state: mounted, restart: { policy: never } }', 'held: { state: mounted }'];
  await withDaemon([app, held], entries, async (daemon) => {
    const before = await daemon.until('converged', ({ converged }) => converged);
    const init = await made(daemon);
    assert.deepEqual((await statusOf(daemon)).containers, before.containers);

    await succeed(daemon);
    assert.deepEqual(inits(daemon), [init], 'who takes over keeps it');
    await ok(daemon, 'start', 'app');
    assert.equal((await running(daemon, 'app')).pid, init);
    await ok(daemon, 'stop', 'app');
    assert.deepEqual(await lines(daemon, 'app'), ['here']);

    // One that dies before anybody wants it has not failed to start.
    process.kill(await made(daemon, [init]), 'SIGKILL');
    await eventually('it is gone', daemon, () => inits(daemon).length === 0);
    const { phase, lastExit } = (await statusOf(daemon)).containers['app'] ?? {};
    assert.deepEqual([phase, lastExit], ['Mounted', { signal: 15 }]);
    await ok(daemon, 'start', 'app');
    await running(daemon, 'app');
    assert.ok(!daemon.log().includes('step failed'), daemon.log());
  });
});

test('an edit that moves its groups and starts it has one made where they are asked for', async () => {
  const slice = `northstate-test-${randomUUID()}`;
  try {
    await withDaemon([app], ['app: { state: mounted, restart: { policy: never } }'], async (daemon) => {
      const init = await made(daemon);
      assert.ok(!groupsOf(init).includes(slice));
      const edited = `state: running, cgroups: { parent: ${slice}, memory: { memory_hard_limit: 50000000 } }`;
      await daemon.write(readFileSync(daemon.document, 'utf8').replace('state: mounted', edited));
      const { pid } = await running(daemon, 'app');
      assert.notEqual(pid, init);
      const lines = groupsOf(pid ?? 0).split('\n');
      assert.ok(lines.some((line) => line.endsWith('/container-app/2')));
      for (const line of lines.filter((each) => each.includes('/container-app/')))
        assert.ok(line.includes(`:/${slice}/container-app/`), line);
    });
  } finally {
    await removeGroups(slice);
  }
});

test('it stays while nobody is awake, and gives its image up when that is unmounted', async () => {
  await withSleeper([app], ['app: { state: mounted }'], async (daemon) => {
    const init = await made(daemon);
    await asleep(daemon);
    assert.deepEqual(inits(daemon), [init]);
    await ok(daemon, 'start', 'app');
    assert.equal((await statusOf(daemon)).containers['app']?.pid, init);
    await ok(daemon, 'stop', 'app');
    await made(daemon, [init]);
    await daemon.write(readFileSync(daemon.document, 'utf8').replace('mounted', 'installed'));
    await eventually('it is unmounted', daemon, async () => {
      const { phase, mounted } = (await statusOf(daemon)).containers['app'] ?? {};
      return phase === 'Installed' && mounted === false && inits(daemon).length === 0;
    });
  });
});
