// The example for npm: a package with a dependency that is a link, and the Node that this checkout has.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exampleProject, type Project } from '../../support/example-project.ts';

const install = ['ci', '--offline', '--no-audit', '--no-fund', '--loglevel=error'];
// The Node is large; what is compressed is no matter here.
const pack = ['pack', '--node', process.execPath, '--compression', 'none', '--json'];

async function digestOf({ ok }: Project): Promise<string> {
  await ok('npm', install);
  const told = JSON.parse(await ok('northstate', pack)) as {
    ok: boolean;
    packages: { path: string; name: string; version: string; digest: string }[];
    warnings: unknown[];
  };
  const [made] = told.packages;
  assert.deepEqual([told.ok, made?.name, made?.version, told.warnings], [true, 'clock', '1.0.0', []]);
  return made?.digest ?? '';
}

test('the folder of an npm package runs with its dependencies, and is the same in another directory', async (context) => {
  const [one, other] = [await exampleProject(context, 'npm'), await exampleProject(context, 'npm')];
  const digest = await digestOf(one);
  assert.equal(
    await one.ok('northstate', ['test', 'clock-1.0.0.npk']),
    `Good day to the device, from Node ${process.version} as /bin/node\n`,
  );
  await one.ok('northstate', ['unpack', 'clock-1.0.0.npk', '--out', 'unpacked']);
  const files = await one.ok('find', ['unpacked/root/app', '-type', 'f', '-printf', '%P\n']);
  assert.deepEqual(files.trim().split('\n').toSorted(), [
    'node_modules/greeting/greeting.js',
    'node_modules/greeting/package.json',
    'package.json',
    'src/clock.js',
  ]);
  assert.equal(await digestOf(other), digest);
});
