// A boot plan on a kernel with a device mapper: what the player maps is what the reconciler maps, and is adopted as it is. Runs
// in the guest.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { copyFile, rm } from 'node:fs/promises';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { bootImage } from '../../../controllers/mounts/mount-boot.ts';
import { openCharacterDevice } from '../../../native/device.ts';
import { loopBelow, mappedDevices, type MappedDevice } from '../../../native/device-mapper.ts';
import { declare } from '../../../native/libc.ts';
import { loopBacking } from '../../../native/loop-device.ts';
import { readKeys } from '../../../src/npk/signature/keys.ts';
import { readPackage } from '../../../src/npk/open-package.ts';
import { openStage } from '../../support/boot-player.ts';
import { worldOf } from '../../support/container-world.ts';
import { bulk, keyPair, probePackage } from '../../support/packages.ts';
import { patience } from '../../support/patience.ts';
import { lastBoot, planned, stepsOf } from '../../support/played-boot.ts';
import { cutPower } from '../../support/reboot.ts';
import { startDaemon, type Daemon } from '../../support/test-daemon.ts';

const key = await keyPair('guest');
const files = { bulk: bulk(200_000) };
const app = await probePackage({ name: 'app', key: 'guest', files });
const data = await probePackage({ name: 'data', key: 'guest', files });

const ioctl = declare('ioctl', 'int', ['int', 'unsigned long', 'void *']);
/** _IOWR(DM_IOCTL, DM_TABLE_STATUS, struct dm_ioctl), and DM_STATUS_TABLE_FLAG (linux/dm-ioctl.h). */
const [tableStatus, asTable] = [0xc138fd0c, 1 << 4];

/** What the device mapper says of a device, without what differs from one to the next. */
function tableOf({ name, major, minor }: MappedDevice): Record<string, unknown> {
  const request = Buffer.alloc(4096);
  request.writeUInt32LE(4, 0);
  request.writeUInt32LE(request.length, 12);
  request.writeUInt32LE(312, 16);
  request.writeUInt32LE(asTable, 28);
  request.write(name, 48, 'latin1');
  const control = openCharacterDevice('mapper/control', 10, 236);
  ioctl(`DM_TABLE_STATUS ${name}`, control.fd, tableStatus, request);
  control.close();
  const at = request.readUInt32LE(16);
  const textAt = (offset: number): string => request.toString('latin1', offset, request.indexOf(0, offset));
  return {
    name: name.replace(/[0-9a-f]{16}$/, 'UNIQUE'),
    uuid: textAt(176) === name,
    flags: request.readUInt32LE(28),
    targets: request.readUInt32LE(20),
    length: request.readBigUInt64LE(at + 8),
    type: textAt(at + 24),
    parameters: textAt(at + 40).replaceAll(/\b7:\d+/g, '7:N'),
    readOnly: readFileSync(`/sys/dev/block/${major}:${minor}/ro`, 'utf8'),
    mark: loopBacking(loopBelow({ name, major, minor }) ?? -1)?.mark,
  };
}

const tables = (): Record<string, unknown>[] =>
  mappedDevices('northstate-')
    .map(tableOf)
    .sort((a, b) => (String(a['parameters']) < String(b['parameters']) ? -1 : 1));

/** Mounts of the reconciler below its runDir, without numbers. */
function mountsOf(daemon: Daemon): string[] {
  const table = readFileSync(`/proc/${daemon.reconciler() ?? 0}/mountinfo`, 'utf8').split('\n');
  const fields = table.filter((line) => line.includes(` ${daemon.runDir}/`)).map((line) => line.split(' '));
  return fields.map((each) => [...each.slice(3, 6), ...each.slice(-3, -2), ...each.slice(-1)].join(' ')).sort();
}

async function untilMapped(count: number): Promise<void> {
  const late = performance.now() + patience;
  while (mappedDevices('northstate-').length !== count && performance.now() < late) await delay(20);
  assert.equal(mappedDevices('northstate-').length, count);
}

test('a played boot maps verity images as the reconciler does, and its adoption has no step', async () => {
  await using first = await startDaemon({
    packages: [app, data],
    document: (directory) => `apiVersion: northstate/v1
repositories: { packages: { type: fs, dir: ${directory}, key: ${key.public} } }
containers: { app: { version: 1.0.0 }, data: { version: 1.0.0, state: mounted } }
...
`,
  });
  const { containers } = await first.until('converged', ({ converged }) => converged);
  await planned(first);
  const before = { tables: tables(), mounts: mountsOf(first), world: worldOf(containers['app'] as { pid: number }) };
  assert.equal(before.tables.length, 2);
  await cutPower(first);
  await untilMapped(0);

  await using again = await startDaemon({ packages: [], directory: first.directory });
  const now = await again.until('converged', ({ converged }) => converged);
  const told = lastBoot(again).find(({ msg }) => msg.startsWith('what ran before'));
  assert.deepEqual([told?.started, told?.left], [1, []]);
  assert.deepEqual(stepsOf(again), []);
  assert.deepEqual(tables(), before.tables);
  assert.deepEqual(mountsOf(again), before.mounts);
  assert.deepEqual(worldOf(now.containers['app'] as { pid: number }), before.world);
  assert.equal(await again.stop(), 0, again.log());
  await untilMapped(0);
});

test('a table that the kernel refuses, and a root hash that is not the image’s, leave no device', async () => {
  await using stage = await openStage();
  const path = stage.path('app.npk');
  await copyFile(app, path);
  const { image, identity, verified } = await readPackage(path, { keys: await readKeys(key.public) });
  const found = { path, ...image, identity, tree: verified?.tree ?? null, repository: 'packages', context: null };
  const target = stage.path('image');
  const deeds = bootImage({ ...found, integrity: 'dm-verity', devices: false }, target, stage.directory) ?? [];
  for (const [rootHash, why] of [
    ['ab', /dm-verity: Invalid argument/],
    ['ab'.repeat(32), /^mount \S+: (Input\/output error|Invalid argument)|dm-verity/],
  ] as const) {
    await rm(stage.path('run'), { recursive: true, force: true });
    const wrong = deeds.map((deed) => (deed.deed === 'map' ? { ...deed, rootHash } : deed));
    await stage.write(stage.withDeeds(...wrong));
    assert.match(stage.play()?.units[0]?.[1] ?? '', why);
    await untilMapped(0);
  }
});
