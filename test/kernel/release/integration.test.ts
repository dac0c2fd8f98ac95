// The integrator's README: every block of it, in its order, on the machine that builds the root and on the device.
import assert from 'node:assert/strict';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { northstate, run } from '../../support/command.ts';
import { makeDeviceRoot } from '../../support/device-root.ts';
import { leftovers, openDescriptors } from '../../support/leaks.ts';
import { probePackage } from '../../support/packages.ts';
import { release, unpack } from '../../support/made-release.ts';

const readme = join(import.meta.dirname, '../../../examples/integration/README.md');
const built = '# on the build machine\n';

test("every block of the integrator's README does what it says", async () => {
  const before = openDescriptors();
  const work = await mkdtemp(join(tmpdir(), 'northstate-integration-'));
  await using root = await makeDeviceRoot();
  try {
    const archive = (await release(join(work, 'out'))).find((name) => name.endsWith('.tar.zst')) ?? '';
    await mkdir(join(work, 'unpacked'));
    const script = await unpack(join(work, 'out', archive), join(work, 'unpacked'));
    for (const version of ['1.0.0', '1.1.0', '1.2.0']) {
      const file = await probePackage({ name: 'hello', version, args: ['print', '1', 'hello', 'sleep'] });
      await copyFile(file, join(work, `hello-${version}.npk`));
    }
    for (const name of ['hello-1.1.0.npk', 'hello-1.2.0.npk']) {
      await copyFile(join(work, name), join(root.directory, 'tmp', name));
    }
    const blocks = [...(await readFile(readme, 'utf8')).matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map(
      ([, code = '']) => code,
    );
    assert.ok(blocks.length > 10);
    const environment = {
      ...{ ROOT: root.directory, PACKAGES: work, KEYS: join(work, 'keys') },
      PATH: `${dirname(northstate)}:${process.env['PATH'] ?? ''}`,
    };
    const build = async (code: string): Promise<void> => {
      const { code: status, stderr } = await run('sh', ['-e', '-c', `cd "$0"\n${code}`, dirname(script)], environment);
      assert.equal(status, 0, `${code}${stderr}`);
    };

    // What a device has needs it to be there first: the check is the first block, the installation the second.
    await build(blocks.find((code) => code.includes('./install.sh --root "$ROOT"\n')) ?? '');
    await writeFile(join(root.directory, 'etc/northstate/config.yaml'), `cgroup: ${root.mark}\n`);
    await using device = await root.boot({ readOnly: false });
    for (const code of blocks.filter((each) => each !== `${built}./install.sh --root "$ROOT"\n`)) {
      if (code.startsWith(built)) {
        await build(code);
        continue;
      }
      for (const part of code.split(/^(northstate run &|northstate shutdown)$/m)) {
        if (part === 'northstate run &') await device.start();
        else if (part === 'northstate shutdown') assert.equal(await device.shutDown(), 0);
        else {
          const { code: status, stdout, stderr } = await device.run('sh', '-e', '-c', part);
          assert.equal(status, 0, `${part}${stdout}${stderr}`);
        }
      }
    }
  } finally {
    await rm(work, { recursive: true });
  }
  assert.deepEqual(await leftovers(root.mark, before), []);
});
