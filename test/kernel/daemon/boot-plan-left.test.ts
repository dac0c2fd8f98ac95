// What is never in a boot plan, each with its reason, and when there is none: the reconciler does it after the boot.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { chown, copyFile, mkdir, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { test } from 'node:test';
import { run } from '../../support/command.ts';
import { keyPair, probePackage } from '../../support/packages.ts';
import { patience } from '../../support/patience.ts';
import { lastBoot, planned, planOf, stepsOf, type Line } from '../../support/played-boot.ts';
import { reboot } from '../../support/reboot.ts';
import { documentOf, startDaemon, type Daemon } from '../../support/test-daemon.ts';

/** Resolves when the log tells what `fits` of a plan, and gives why each was left by it. */
async function told(daemon: Daemon, fits: (line: Line) => boolean): Promise<Record<string, string>> {
  const late = performance.now() + patience;
  while (performance.now() < late) {
    const kept = lastBoot(daemon).findLast(({ msg }) => msg === 'boot plan');
    if (kept !== undefined && fits(kept)) return Object.fromEntries((kept.left ?? []) as unknown as [string, string][]);
    await delay(20);
  }
  throw new Error(`no such boot plan:\n${daemon.log()}`);
}

const binds = (host: string): string => `mounts: { /there: { type: bind, host: ${host} } }`;
const reasons: Readonly<Record<string, RegExp>> = {
  job: /^it is a job$/,
  timed: /^it is a job$/,
  halted: /^it is paused$/,
  waiting: /^it waits for more than that plain runs$/,
  behind: /^waiting is not in the plan$/,
  talking: /^it has a console$/,
  netted: /^it has a network namespace of the host$/,
  passing: /^\/run is made anew by each boot$/,
  lacking: /^\/no\/such\/place is not on the host$/,
  grouped: /^the host has no group no-such-group$/,
  'checked:1.0.0': /is checked as a whole/,
  checked: /^checked:1.0.0 is not in the plan$/,
  commanded: /^a console has said so$/,
  foreign: /^a boot does not come to it at once$/,
  scheduled: /^it has a schedule$/,
};

test('what a boot plan never holds is left, with the reason, and starts after the boot', async () => {
  const key = await keyPair('right');
  await using first = await startDaemon({ packages: [], document: (directory) => documentOf(directory) });
  const network = join('/run/netns', first.mark);
  const fields: Readonly<Record<string, string>> = {
    talking: 'console: { permissions: full }',
    netted: `network: !namespace ${first.mark}`,
    passing: binds('/run'),
    lacking: binds('/no/such/place'),
    grouped: 'suppl_groups: [no-such-group]',
  };
  const names = ['plain', ...Object.keys(reasons).filter((name) => name !== 'checked:1.0.0')];
  await mkdir(join(first.directory, 'keyed'));
  for (const name of names) {
    const isKeyed = name === 'checked';
    const file = await probePackage({ name, fields: fields[name] ?? '', ...(isKeyed && { key: 'right' }) });
    const target = join(isKeyed ? join(first.directory, 'keyed') : first.repository, basename(file));
    await copyFile(file, target);
    if (name === 'foreign') await chown(target, 1000, 1000);
  }
  const entries: Readonly<Record<string, string>> = {
    job: '{ restart: { policy: never } }',
    timed: '{ timeout: 1h }',
    halted: '{ paused: true }',
    waiting: '{ dependsOn: { plain: ready } }',
    behind: '{ dependsOn: { waiting: running } }',
    commanded: '{ state: mounted }',
    checked: '{ repository: keyed }',
    scheduled: '{ schedule: { every: 1h } }',
  };
  const document = documentOf(first.repository, ...names.map((name) => `${name}: ${entries[name] ?? '{}'}`));
  const keyed = `  keyed: { type: fs, dir: ${first.directory}/keyed, key: ${key.public}, integrity: full-check }\n`;
  await mkdir(dirname(network), { recursive: true });
  await writeFile(network, '');
  try {
    await run('unshare', [`--net=${network}`, 'true']);
    await first.write(document.replace('containers:\n', `${keyed}containers:\n`));
    await first.until('all of it', ({ converged, generation }) => converged && generation > 1);
    assert.equal((await first.run('start', 'commanded')).code, 0);
    const left = await told(first, ({ left }) => JSON.stringify(left).includes('a console has said so'));
    assert.deepEqual(Object.keys(left).sort(), Object.keys(reasons).sort());
    for (const [name, why] of Object.entries(reasons)) assert.match(left[name] ?? '', why, name);

    await using again = await reboot(first);
    await again.until('all of it', ({ converged }) => converged);
    const play = lastBoot(again).find(({ msg }) => /^what ran before|^the boot plan does not/.test(msg));
    assert.equal(play?.started, 1, play?.reason);
    const started = stepsOf(again).flatMap((step) => /^(?:start|go) (\S+)$/.exec(step)?.[1] ?? []);
    const others = names.filter((name) => name !== 'plain' && name !== 'scheduled');
    assert.deepEqual(started.filter((name) => name !== 'scheduled').sort(), others.sort());
  } finally {
    await run('umount', [network]);
    await rm(network);
  }
});

test('there is no plan while a console has changed what is in force, and bootPlan: never takes it away', async () => {
  await using first = await startDaemon({
    packages: [await probePackage({ name: 'plain' })],
    document: (directory) => documentOf(directory, 'plain: { version: 1.0.0 }'),
  });
  const plan = await planned(first);
  assert.equal((await first.run('stop', 'plain', '--boot')).code, 0);
  await first.untilContainer('plain', 'stopped', ({ phase }) => phase !== 'Running');
  await first.until('converged', ({ converged }) => converged);
  await told(first, ({ unkept }) => /a console has changed/.test(unkept ?? ''));
  assert.deepEqual(readFileSync(planOf(first)), plan, 'the one that is there holds what the document says');

  // What the plan holds is what the next boot runs.
  await using second = await reboot(first);
  await second.untilContainer('plain', 'running', ({ phase }) => phase === 'Running');
  assert.equal(lastBoot(second).find(({ msg }) => msg.startsWith('what ran before'))?.started, 1);

  await using third = await reboot(second, { configuration: 'bootPlan: never\n' });
  await third.untilContainer('plain', 'running', ({ phase }) => phase === 'Running');
  assert.ok(!lastBoot(third).some(({ msg }) => /boot/.test(msg) && /plan/.test(msg)), third.log());
  assert.ok(!existsSync(planOf(third)));
});
