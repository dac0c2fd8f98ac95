// The update module of examples/integration/mender under Debian's Mender client, which installs artifacts that mender-artifact made.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startUpdatedDevice } from './updated-device.ts';

const setUp = `
cp /usr/share/northstate/integration/mender/northstate /usr/share/mender/modules/v3/
mkdir -p /data/mender # where /var/lib/mender of Debian leads
echo device_type=board >/var/lib/mender/device_type
echo '{}' >/etc/mender/mender.conf
echo artifact_name=first >/etc/mender/artifact_info
make() { mender-artifact write module-image -T northstate -n "$1" -t board -f "$2/desired.yaml" $(printf -- '-f %s ' "$2"/*.npk) -o "/root/$1.mender"; }
make good /root/good
make bad /root/bad
`;

test('Mender: an artifact is installed and committed, one is rolled back, one that cannot be reached changes nothing', async () => {
  await using updated = await startUpdatedDevice();
  await updated.sh(setUp);
  assert.equal(await updated.version(), '1.0.0');

  await updated.sh('mender --no-syslog install /root/good.mender');
  assert.equal(await updated.version(), '1.1.0');
  await updated.sh('mender --no-syslog rollback');
  assert.equal(await updated.version(), '1.0.0');
  assert.deepEqual(await updated.packages(), ['hello:1.0.0']);

  await updated.sh('mender --no-syslog install /root/good.mender && mender --no-syslog commit');
  assert.equal(await updated.version(), '1.1.0');
  assert.equal((await updated.sh('mender --no-syslog show-artifact')).stdout.trim(), 'good');

  const bad = await updated.device.run('mender', '--no-syslog', 'install', '/root/bad.mender');
  assert.notEqual(bad.code, 0, `${bad.stdout}${bad.stderr}`);
  assert.equal(await updated.version(), '1.1.0');
  assert.deepEqual(await updated.packages(), ['hello:1.0.0', 'hello:1.1.0']);
});
