// The boot plan on the real kernel: what ran before a boot runs again before the reconciler is there, and is adopted as it is.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { test } from 'node:test';
import { connectConsole } from '../../../src/client/console-client.ts';
import { worldOf } from '../../support/container-world.ts';
import { removeGroups } from '../../support/leftover-groups.ts';
import { probePackage } from '../../support/packages.ts';
import { lastBoot, planned, planOf, stepsOf } from '../../support/played-boot.ts';
import { cutPower, reboot } from '../../support/reboot.ts';
import { documentOf, startDaemon } from '../../support/test-daemon.ts';

async function packages(): Promise<string[]> {
  const mounts = `mounts:
  /dev: { type: dev }
  /proc: { type: proc }
  /sys: { type: sysfs }
  /data: { type: persist }
  /sockets: { type: sockets }
  /scratch: { type: tmpfs, size: 1M }
  /etc: { type: bind, host: /etc, options: "nosuid,nodev" }
  /shared: { type: resource, name: shared, version: "^1", dir: /files }
`;
  const limits = `cgroups:
  cpu: { shares: 512, cpus: "0" }
  memory: { memory_hard_limit: 50000000, memory_soft_limit: 40000000, swappiness: 10 }
`;
  const sockets = `sockets:
  control: { type: stream, mode: 0o640, uid: 1000, gid: 1001 }
  log: { type: datagram, mode: 0o622, passcred: true }
`;
  return await Promise.all([
    probePackage({ name: 'plain' }),
    probePackage({
      name: 'wide',
      fields: `${mounts}suppl_groups: [daemon]\nrlimits: { nofile: { soft: 64, hard: 128 } }\n`,
    }),
    probePackage({ name: 'bounded', fields: limits }),
    probePackage({
      name: 'filtered',
      fields: 'seccomp: { profile: default }\ncapabilities: [CAP_NET_RAW]\nsched: { policy: !batch { nice: 5 } }\n',
    }),
    probePackage({ name: 'listening', fields: sockets }),
    probePackage({ name: 'shared', files: { 'files/text': 'shared\n' } }),
    probePackage({ name: 'after' }),
    probePackage({ name: 'itself', fields: 'autostart: relaxed\n' }),
    probePackage({ name: 'talking', fields: 'console: { permissions: full }\n' }),
    ...['placed', 'slow', 'ready', 'said', 'partner', 'timed'].map((name) => probePackage({ name })),
  ]);
}
/** The groups of a container that are not below the runtime's root. */
const aboveOf = (directory: string): string => `${basename(directory)}-above`;
/** A disk that is there. */
const disk = readFileSync('/sys/block/vda/dev', 'utf8').trim().split(':');
const rate = `[{ major: ${disk[0]}, minor: ${disk[1]}, rate: 1048576 }]`;
const devices = [
  `throttle_read_bps_device: ${rate}`,
  'throttle_read_iops_device: []',
  'throttle_write_bps_device: []',
  'throttle_write_iops_device: []',
  'weight_device: []',
].join(', ');
const entriesOf = (directory: string): string[] => [
  ...['plain', 'bounded', 'filtered', 'listening', 'talking'].map((name) => `${name}: { version: 1.0.0 }`),
  'wide: { version: 1.0.0, health: { watchdog: 10m } }',
  'shared: { state: installed }',
  'after: { dependsOn: { plain: running }, env: { WORD: said }, args: [sleep] }',
  `placed: { cgroups: { parent: ${aboveOf(directory)}/inner, cpu: { shares: 256, cpus: "0" } } }`,
  `slow: { cgroups: { blkio: { ${devices} } } }`,
  'ready: { state: mounted, prepare: true }',
  'said: { health: { watchdog: 10m } }',
  'partner: { dependsOn: { after: running }, restartWith: [after] }',
  'timed: { cgroups: { cpu: { realtime_runtime: 20000, realtime_period: 500000 } } }',
];
const played = [
  ...[
    'after',
    'bounded',
    'filtered',
    'itself:1.0.0',
    'listening',
    'partner',
    'placed',
    'plain',
    'said',
    'slow',
    'timed',
    'wide',
  ],
];

test('what runs is the same after a boot, and its adoption has no step', async () => {
  await using first = await startDaemon({
    packages: await packages(),
    document: (directory) => documentOf(directory, ...entriesOf(dirname(directory))),
  });
  const above = aboveOf(first.directory);
  await using _ = { [Symbol.asyncDispose]: () => removeGroups(above) };
  const plan = await planned(first);
  const status = await first.until('all of it', ({ converged }) => converged);
  const before = new Map(played.map((name) => [name, worldOf(status.containers[name] as { pid: number })]));

  await cutPower(first);
  await removeGroups(above);
  writeFileSync(`${planOf(first)}.new`, 'cut off by a power cut');
  await using again = await startDaemon({ packages: [], directory: first.directory });
  const now = await again.until('converged', ({ converged }) => converged);
  assert.ok(!existsSync(`${planOf(again)}.new`), 'what was cut off is gone');
  const [told] = lastBoot(again).filter(({ msg }) => msg.startsWith('what ran before'));
  assert.deepEqual([told?.started, told?.left], [played.length, []]);
  assert.deepEqual(
    stepsOf(again).toSorted(),
    ['ask said', 'ask wide', 'start talking'],
    'only what has a console was left',
  );
  for (const [name, world] of before) assert.deepEqual(worldOf(now.containers[name] as { pid: number }), world, name);
  for (const name of played) assert.equal(now.containers[name]?.phase, 'Running', name);

  // Nothing is written again, and a reconciler that is killed adopts as ever.
  const { mtimeMs } = statSync(planOf(again));
  const pids = played.map((name) => now.containers[name]?.pid);
  process.kill(again.reconciler() ?? 0, 'SIGKILL');
  const adopted = await again.until('converged', ({ converged }) => converged);
  assert.deepEqual(
    played.map((name) => adopted.containers[name]?.pid),
    pids,
  );
  assert.deepEqual(readFileSync(planOf(again)), plan);
  assert.equal(statSync(planOf(again)).mtimeMs, mtimeMs);

  // The sandbox that was ready is the one that starts, and groups elsewhere go with the end.
  assert.equal((await again.run('start', 'ready')).code, 0);
  await again.untilContainer('ready', 'running', ({ phase }) => phase === 'Running');
  assert.deepEqual(
    stepsOf(again).filter((step) => step.endsWith(' ready')),
    ['go ready'],
  );
  assert.equal(await again.stop(), 0, again.log());
  const mounts = readFileSync('/proc/self/mounts', 'utf8').match(/(?<=^\S+ )\S+(?= cgroup2? )/gm) ?? [];
  assert.deepEqual(
    mounts.filter((mount) => existsSync(join(mount, above))),
    [],
  );
});

test('a launcher that is started again in the same boot plays nothing, and repeats nothing', async () => {
  const once = await probePackage({ name: 'once', args: ['exit', '0'] });
  await using first = await startDaemon({
    packages: [once, await probePackage({ name: 'plain' })],
    document: (directory) =>
      documentOf(directory, 'once: { restart: { policy: on-failure } }', 'plain: { version: 1.0.0 }'),
  });
  await planned(first);
  await using second = await reboot(first);
  const ran = await second.untilContainer('once', 'ended', ({ phase }) => phase === 'Exited');
  assert.deepEqual(ran.lastExit, { code: 0 });
  await second.until('its end is noted', ({ converged }) => converged);
  assert.equal(lastBoot(second).find(({ msg }) => msg.startsWith('what ran before'))?.started, 2);

  second.release();
  process.kill(second.pid, 'SIGKILL');
  await second.exited;
  await using third = await startDaemon({ packages: [], directory: second.directory });
  await third.untilContainer('plain', 'running', ({ phase }) => phase === 'Running');
  await third.untilContainer('once', 'exited', ({ phase }) => phase === 'Exited');
  assert.ok(!stepsOf(third).includes('start once'), 'what has run does not run twice');
  assert.ok(!lastBoot(third).some(({ msg }) => msg.startsWith('what ran before')));
});

test('a runtime that ends in order leaves a plan of what was in force', async () => {
  const two = await Promise.all(['one', 'other'].map((name) => probePackage({ name, args: ['sleep'] })));
  const [one, other] = ['one: { version: 1.0.0 }', 'other: { version: 1.0.0 }'];
  await using daemon = await startDaemon({ packages: two, mayEnd: true, document: (dir) => documentOf(dir, one) });
  await planned(daemon);
  const client = await connectConsole(daemon.console);
  await daemon.write(documentOf(daemon.repository, one, other));
  await daemon.untilContainer('other', 'runs', ({ phase }) => phase === 'Running');
  await daemon.until('it is as the document says', ({ converged }) => converged);
  // Long before nothing has changed for a while.
  await client.call('shutdown', null).catch(() => undefined);
  await daemon.exited;
  assert.match(readFileSync(planOf(daemon), 'latin1'), /other: \{ version: 1\.0\.0 \}/);
});
