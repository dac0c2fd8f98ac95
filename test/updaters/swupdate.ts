// The handler of examples/integration/swupdate under Debian's SWUpdate, which installs signed images.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { makeCertificate, ok, startUpdatedDevice, type UpdatedDevice } from './updated-device.ts';

/** An image with one bundle, as the README says how to make it: /root/NAME.swu. */
async function makeImage({ path }: UpdatedDevice, name: string): Promise<void> {
  const archive = path(`root/${name}.tar`);
  await ok('tar', '-cf', archive, '-C', path(`root/${name}`), '.');
  const template = await readFile(path('usr/share/northstate/integration/swupdate/sw-description'), 'utf8');
  const sum = createHash('sha256')
    .update(await readFile(archive))
    .digest('hex');
  await writeFile(path('root/sw-description'), template.replace('bundle.tar', `${name}.tar`).replace('@SHA256@', sum));
  const key = ['-signer', path('root/cert.pem'), '-inkey', path('root/key.pem')];
  await ok(
    ...['openssl', 'cms', '-sign', '-in', path('root/sw-description'), '-out', path('root/sw-description.sig')],
    ...[...key, '-outform', 'DER', '-nosmimecap', '-binary'],
  );
  const files = `sw-description\nsw-description.sig\n${name}.tar\n`;
  await ok(
    'sh',
    '-c',
    `cd "$0" && printf %s "$1" | cpio -o -H crc --quiet >"$2"`,
    path('root'),
    files,
    path(`root/${name}.swu`),
  );
}

test('SWUpdate: a signed image is installed, one that cannot be reached changes nothing, a changed one is refused', async () => {
  await using updated = await startUpdatedDevice();
  await makeCertificate(updated);
  for (const name of ['good', 'bad']) await makeImage(updated, name);
  await updated.sh(`
mkdir -p /usr/share/lua/5.3
cp /usr/share/northstate/integration/swupdate/swupdate_handlers.lua /usr/share/lua/5.3/
echo 'board 1.0' >/etc/hwrevision
`);
  // What the device is afterwards counts: on a busy machine what swupdate says at its end, and its exit status, are now and then
  // those of an installation that has not begun.
  const install = async (image: string): Promise<string> => {
    const { stdout, stderr } = await updated.device.run('swupdate', '-v', '-k', '/root/cert.pem', '-i', image);
    return `${stdout}${stderr}`;
  };

  assert.match(await install('/root/good.swu'), /hello:1\.1\.0 installed/);
  assert.equal(await updated.version(), '1.1.0');

  const bad = await install('/root/bad.swu');
  assert.match(bad, /all is as before/);
  assert.equal(await updated.version(), '1.1.0');
  assert.deepEqual(await updated.packages(), ['hello:1.0.0', 'hello:1.1.0']);

  const image = await readFile(updated.path('root/good.swu'));
  image.writeUInt8(image.readUInt8(image.indexOf('software')) ^ 1, image.indexOf('software'));
  await writeFile(updated.path('root/changed.swu'), image);
  assert.doesNotMatch(await install('/root/changed.swu'), /Valid image found|installed/);
  assert.equal(await updated.version(), '1.1.0');
});
