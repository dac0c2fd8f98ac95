// Two slots with a root each, and one data partition: a newer version writes, an older one comes up again.
import assert from 'node:assert/strict';
import { copyFile, cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import type { Status } from '../../../state/status.ts';
import { run } from '../../support/command.ts';
import { makeDeviceRoot, type Device, type DeviceRoot } from '../../support/device-root.ts';
import { leftovers, openDescriptors } from '../../support/leaks.ts';
import { release, unpack } from '../../support/made-release.ts';
import { probePackage } from '../../support/packages.ts';
import { makeSecondBuild, type Installation } from '../../support/second-build.ts';

const documentOf = (fields: string): string => `apiVersion: northstate/v1
repositories: { system: { type: fs, dir: /usr/share/northstate/packages } }
containers: { hello: { version: 1.0.0, state: running${fields} } }
...
`;

/** Slot B has a build that differs (second-build.ts), which knows a field of the document that the one of slot A does not. */
async function makeNewer(slot: DeviceRoot, build: Installation): Promise<void> {
  const home = join(slot.directory, 'usr/lib/northstate');
  for (const name of ['bundle', 'northstate-launcher', 'northstate-player']) {
    await rm(join(home, name), { recursive: true });
    await cp(join(build.directory, '.build', name), join(home, name), { recursive: true });
  }
  let changed = 0;
  for (const name of await readdir(join(home, 'bundle'))) {
    const file = join(home, 'bundle', name);
    const text = await readFile(file, 'utf8');
    if (!text.includes('oomScoreAdj')) continue;
    changed += 1;
    await writeFile(file, text.replaceAll('oomScoreAdj', 'oomScoreNew'));
  }
  assert.ok(changed > 1);
}

async function status(device: Device): Promise<Status> {
  const { code, stderr } = await device.run('northstate', 'wait', '--for', 'converged', '--timeout', '60s');
  assert.equal(code, 0, stderr);
  return JSON.parse((await device.run('northstate', 'get', '-o', 'json')).stdout) as Status;
}

test('what a newer version has written an older one passes over, and the newer one has it again', async () => {
  const before = openDescriptors();
  const work = await mkdtemp(join(tmpdir(), 'northstate-slots-'));
  try {
    const archive = (await release(join(work, 'out'))).find((name) => name.endsWith('.tar.zst')) ?? '';
    await mkdir(join(work, 'unpacked'));
    const script = await unpack(join(work, 'out', archive), join(work, 'unpacked'));
    const data = join(work, 'data');
    await mkdir(data);
    await using a = await makeDeviceRoot();
    await using b = await makeDeviceRoot();
    for (const slot of [a, b]) {
      await run('sh', [script, '--root', slot.directory]);
      const packages = join(slot.directory, 'usr/share/northstate/packages');
      await mkdir(packages, { recursive: true });
      await copyFile(await probePackage({ name: 'hello', args: ['sleep'] }), join(packages, 'hello-1.0.0.npk'));
      await writeFile(join(slot.directory, 'etc/northstate/config.yaml'), `cgroup: ${slot.mark}\n`);
      await writeFile(join(slot.directory, 'etc/northstate/desired.yaml'), documentOf(''));
    }
    using second = makeSecondBuild();
    await makeNewer(b, second);
    await writeFile(join(b.directory, 'root/newer.yaml'), documentOf(', oomScoreNew: 5'));

    /** Boots a slot and gives what its status says once what it wants is reached. */
    const boot = async (slot: DeviceRoot, then?: readonly string[]): Promise<Status> => {
      await using device = await slot.boot({ readOnly: false, data });
      await device.start();
      if (then !== undefined) {
        const { code, stderr } = await device.run(...then);
        assert.equal(code, 0, stderr);
      }
      return await status(device);
    };
    const first = await boot(a);
    assert.equal(first.document.status, 'ok');
    const newer = await boot(b, ['northstate', 'apply', '-f', '/root/newer.yaml', '--wait', '--timeout', '60s']);
    assert.ok(newer.generation > first.generation);

    const older = await boot(a);
    assert.equal(older.generation, first.generation);
    assert.deepEqual([older.document.status, older.containers['hello']?.phase], ['invalid', 'Running']);
    assert.match(
      older.document.error?.message ?? '',
      /generation 2 is not understood .*northstate 0\.1\.1 has stored it.* generation 1 is in force/,
    );

    const again = await boot(b);
    assert.deepEqual([again.generation, again.document.status], [newer.generation, 'ok']);
    for (const slot of [a, b]) assert.deepEqual(await leftovers(slot.mark, before), []);
    assert.deepEqual(await leftovers(basename(work), before), []);
  } finally {
    await rm(work, { recursive: true });
  }
});
