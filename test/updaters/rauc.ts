// The handler and the hook of examples/integration/rauc under Debian's RAUC, whose slots are loop devices.
import assert from 'node:assert/strict';
import { copyFile, mkdir, readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { makeCertificate, ok, startUpdatedDevice, type UpdatedDevice } from './updated-device.ts';

const bus = `<busconfig>
  <type>session</type>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <auth>EXTERNAL</auth>
  <policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy>
</busconfig>
`;

const configuration = (slots: readonly string[]): string => `[system]
compatible=board
bootloader=noop
mountprefix=/run/rauc
[keyring]
path=/root/cert.pem
${slots.map((device, index) => `[slot.rootfs.${index}]\ndevice=${device}\ntype=ext4\nbootname=${'AB'[index]}\n`).join('')}`;

/** Starts bus and service, runs what follows, and ends both. */
const withService = `
mkdir -p /run/dbus /run/rauc
export DBUS_SYSTEM_BUS_ADDRESS=unix:path=/run/dbus/system_bus_socket
dbus-daemon --config-file=/root/bus.conf --nofork & bus=$!
for each in 1 2 3 4 5 6 7 8 9 10; do [ -S /run/dbus/system_bus_socket ] || sleep 0.5; done
rauc --override-boot-slot=A service >/root/rauc.log 2>&1 & service=$!
for each in 1 2 3 4 5 6 7 8 9 10; do rauc status >/dev/null 2>&1 || sleep 0.5; done
status=0
rauc install "$1" || status=$?
[ "$status" = 0 ] || cat /root/rauc.log
kill $service $bus
wait
exit $status
`;

/** A file system for a slot, in the device's /root, attached; gives the device. */
async function makeSlot({ path }: UpdatedDevice, name: string): Promise<string> {
  const file = path(`root/${name}`);
  await writeFile(file, '');
  await truncate(file, 32 << 20);
  await ok('mkfs.ext4', '-q', file);
  return (await ok('losetup', '--find', '--show', file)).trim();
}

/** A signed bundle of a folder: /root/NAME.raucb. */
async function makeBundle(
  updated: UpdatedDevice,
  name: string,
  files: Readonly<Record<string, string>>,
): Promise<void> {
  for (const [target, source] of Object.entries(files)) {
    await copyFile(updated.path(source), updated.path(`root/${name}/${target}`));
  }
  await updated.sh(
    `rm -f /root/${name}.raucb && rauc bundle --cert=/root/cert.pem --key=/root/key.pem --keyring=/root/cert.pem /root/${name} /root/${name}.raucb`,
  );
}

test('RAUC: bundles of applications by the handler, a root file system with packages and seed by the hook', async () => {
  await using updated = await startUpdatedDevice();
  const { path, device } = updated;
  await makeCertificate(updated);
  const slots = [await makeSlot(updated, 'slot.0'), await makeSlot(updated, 'slot.1')];
  try {
    await writeFile(path('root/bus.conf'), bus);
    await mkdir(path('etc/rauc'), { recursive: true });
    await writeFile(path('etc/rauc/system.conf'), configuration(slots));
    const handler = {
      'manifest.raucm': 'usr/share/northstate/integration/rauc/manifest.raucm',
      install: 'usr/share/northstate/integration/rauc/install',
    };
    for (const name of ['good', 'bad']) await makeBundle(updated, name, handler);
    const install = (bundle: string) => device.run('sh', '-c', withService, 'sh', bundle);

    const good = await install('/root/good.raucb');
    assert.equal(good.code, 0, `${good.stdout}${good.stderr}`);
    assert.equal(await updated.version(), '1.1.0');

    const bad = await install('/root/bad.raucb');
    assert.notEqual(bad.code, 0, `${bad.stdout}${bad.stderr}`);
    assert.match(`${bad.stdout}${bad.stderr}`, /the document was not reached; all is as before/);
    assert.equal(await updated.version(), '1.1.0');
    assert.deepEqual(await updated.packages(), ['hello:1.0.0', 'hello:1.1.0']);

    // The other slot gets a root that has the packages and the seed of the bundle.
    await makeSlotImage(updated);
    const hook = {
      'manifest.raucm': 'usr/share/northstate/integration/rauc/root.raucm',
      hook: 'usr/share/northstate/integration/rauc/hook',
      'rootfs.ext4': 'root/rootfs.ext4',
    };
    await makeBundle(updated, 'good', hook);
    const root = await install('/root/good.raucb');
    assert.equal(root.code, 0, `${root.stdout}${root.stderr}`);
    const written = path('mnt');
    await mkdir(written);
    await ok('mount', '-o', 'ro', slots[1] ?? '', written);
    try {
      assert.deepEqual(await readdir(`${written}/usr/share/northstate/packages`), ['hello-1.1.0.npk']);
      const seed = await readFile(`${written}/etc/northstate/desired.yaml`, 'utf8');
      assert.match(seed, /version: 1\.1\.0/);
    } finally {
      await ok('umount', written);
    }
  } finally {
    for (const slot of slots) await ok('losetup', '--detach', slot);
  }
});

/** The file system that the bundle has for the root: an empty one. */
async function makeSlotImage({ path }: UpdatedDevice): Promise<void> {
  await writeFile(path('root/rootfs.ext4'), '');
  await truncate(path('root/rootfs.ext4'), 16 << 20);
  await ok('mkfs.ext4', '-q', path('root/rootfs.ext4'));
}
