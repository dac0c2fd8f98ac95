// A root file system that is mounted read-only, with the directories of the runtime on a disk of their own.
import assert from 'node:assert/strict';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { probePackage } from '../../support/packages.ts';
import { lastBoot, planned, stepsOf, type Line } from '../../support/played-boot.ts';
import { cutPower } from '../../support/reboot.ts';
import { documentOf, startDaemon, type Daemon } from '../../support/test-daemon.ts';

/** Read-only is what holds the configuration and the document; packages, state, data and run can be written. */
const mountReadOnly = `top=$1; shift; cd "$top" && mount --bind "$top" "$top" && cd "$top" &&
for name in packages state data run; do mount --bind "$name" "$name" || exit 1; done &&
mount -o remount,bind,ro "$top" && ! touch "$top/written" 2>/dev/null && exec "$@"`;
const playedBy = (daemon: Daemon): Line | undefined =>
  lastBoot(daemon).find(({ msg }) => msg.startsWith('what ran before'));
const readOnly = (directory: string): string[] => [
  ...['unshare', '--mount', '--propagation', 'private', 'sh', '-c', mountReadOnly, 'sh', directory],
];

test('a read-only /etc: the summary is in stateDir, boots are played, and an edit is never overlooked', async () => {
  const packages = [await probePackage({ name: 'camera' })];
  const document = (folder: string): string => documentOf(folder, 'camera: { version: 1.0.0 }');
  await using first = await startDaemon({ packages, document });
  const { directory } = first;
  const path = (name: string): string => join(directory, name);
  await first.until('converged', ({ converged }) => converged);
  await cutPower(first);
  for (const name of ['config.yaml.summary', 'state/boot.plan']) rmSync(path(name), { force: true });
  writeFileSync(path('log'), '');

  const again = async () => {
    const daemon = await startDaemon({ packages: [], directory, prefix: readOnly(directory) });
    await planned(daemon);
    return daemon;
  };
  await using without = await again();
  assert.ok(existsSync(path('state/configuration.summary')) && !existsSync(path('config.yaml.summary')));
  assert.equal(playedBy(without), undefined);
  await cutPower(without);

  await using played = await again();
  assert.equal(playedBy(played)?.started, 1, played.log());
  assert.deepEqual(stepsOf(played), []);
  await cutPower(played);

  writeFileSync(path('desired.yaml'), document(path('packages')).replace('1.0.0', '1.0.0, env: { NEW: yes }'));
  await using edited = await again();
  const refused = lastBoot(edited).find(({ msg }) => msg.startsWith('the boot plan does not count'));
  assert.match(refused?.reason ?? '', /^document: /);
  assert.deepEqual(stepsOf(edited).at(-1), 'start camera');
});
