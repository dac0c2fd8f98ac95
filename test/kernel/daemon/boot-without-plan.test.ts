// Boots without a plan: what was read of packages is known from the boot before, but for those that are others.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { copyFile, mkdir } from 'node:fs/promises';
import { getPriority } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { patience } from '../../support/patience.ts';
import { keyPair, probePackage } from '../../support/packages.ts';
import { prioritiesOf, sessionPriorityOf } from '../../support/priorities.ts';
import { reboot } from '../../support/reboot.ts';
import { documentOf, startDaemon, type Daemon } from '../../support/test-daemon.ts';

const configuration = 'bootPlan: never\n';
const fileOf = ({ directory }: Daemon): string => join(directory, 'state/packages.read');

/** The file once it is another one than `before` (inode). */
async function written(daemon: Daemon, before: number | null): Promise<number> {
  const late = performance.now() + patience;
  for (;;) {
    const ino = existsSync(fileOf(daemon)) ? statSync(fileOf(daemon)).ino : null;
    if (ino !== null && ino !== before) return ino;
    if (performance.now() > late) throw new Error(`nothing is kept of packages:\n${daemon.log()}`);
    await delay(20);
  }
}

test('a boot without a plan reads only packages that are others than before, and no change of a file is overlooked', async () => {
  const key = await keyPair('right');
  const [plain, signed, newer] = await Promise.all([
    probePackage({ name: 'plain' }),
    probePackage({ name: 'signed', key: 'right' }),
    probePackage({ name: 'newer' }),
  ]);
  await using first = await startDaemon({
    packages: [plain],
    configuration,
    document: (packages) =>
      documentOf(packages, 'plain: { state: mounted }', 'signed: {}').replace(
        'containers:\n',
        `  keyed: { type: fs, dir: ${packages}-keyed, key: ${key.public}, integrity: full-check }\ncontainers:\n`,
      ),
  });
  const keyed = join(`${first.repository}-keyed`, 'signed.npk');
  await mkdir(`${first.repository}-keyed`);
  await copyFile(signed, keyed);
  await first.until(
    'both are there',
    ({ converged, containers }) => converged && containers['signed']?.phase === 'Running',
  );
  await written(first, null);

  // Nothing is new: nothing is written.
  await using second = await reboot(first, { configuration });
  await second.until('all of it', ({ converged }) => converged);
  const ino = await written(second, null);
  await delay(1500);
  assert.equal(statSync(fileOf(second)).ino, ino);

  // Somebody changes a signed package while it is off, and has it look as before.
  const bytes = readFileSync(keyed);
  const { atime, mtime } = statSync(keyed);
  const at = bytes.indexOf('sleep');
  assert.ok(at > 0);
  const forged = Buffer.from(bytes);
  forged.write('stamp', at);
  await copyFile(newer, join(first.repository, 'newer-1.0.0.npk'));
  writeFileSync(keyed, forged);
  utimesSync(keyed, atime, mtime);
  await using third = await reboot(second, { configuration });
  await third.until('it is refused', ({ repositories }) => JSON.stringify(repositories['keyed']).includes('checksum'));
  const { containers } = await third.until(
    'the other one is there',
    (status) => status.containers['plain']?.mounted === true,
  );
  assert.notEqual(containers['signed']?.phase, 'Running');
  await written(third, ino);
});

test('the reconciler of a boot gives back the priority that it had until what it starts is there', async () => {
  await using daemon = await startDaemon({
    packages: [await probePackage({ name: 'plain', args: ['sleep'] })],
    configuration,
    document: (packages) => documentOf(packages, 'plain: {}'),
  });
  await daemon.until('it runs', ({ converged }) => converged);
  const pid = daemon.reconciler() ?? NaN;
  const late = performance.now() + patience;
  const isBack = (): boolean =>
    prioritiesOf(pid).every((each) => each === getPriority()) && [0, null].includes(sessionPriorityOf(pid));
  while (!isBack()) {
    assert.ok(performance.now() < late, `${prioritiesOf(pid).join()} ${sessionPriorityOf(pid)}`);
    await delay(20);
  }
});
