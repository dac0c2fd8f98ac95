// What is wrong in the folder of an npm package, and which Node it gets.
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { hasNpmPackage, npmPacking } from '../../../src/build/npm/npm-package.ts';
import { scratchDirectory } from '../../support/console/scratch.ts';

async function folder(
  context: TestContext,
  content: object,
  files: Readonly<Record<string, string>> = {},
): Promise<string> {
  const directory = await scratchDirectory(context);
  const all = { 'package.json': JSON.stringify({ name: '@a/b', version: '1.0.0', ...content }), ...files };
  for (const [path, text] of Object.entries(all)) {
    await mkdir(dirname(join(directory, path)), { recursive: true });
    await writeFile(join(directory, path), text);
  }
  return directory;
}

const manifest = { uid: 1, gid: 1 };

test('without a manifest, with unknown fields or a Node that is not installed it is refused', async (context) => {
  for (const [northstate, message] of [
    [{}, /package\.json: northstate\.manifest: must be the path of a manifest, or its fields$/],
    [{ manifest, nodes: 'x' }, /package\.json: northstate\.nodes: there is no such field$/],
    [{ manifest, node: 'node-linux-none' }, /northstate\.node: no package node-linux-none with bin\/node is installed/],
  ] as const) {
    await assert.rejects(npmPacking(await folder(context, { northstate }), {}), message);
  }
  assert.equal(hasNpmPackage(await folder(context, {})), false);
  await assert.rejects(npmPacking(await folder(context, {}), {}), /package\.json: northstate: is missing/);
});

test('a dependency that is not installed is said as npm says it', async (context) => {
  const directory = await folder(context, { northstate: { manifest }, dependencies: { absent: '1.0.0' } });
  await assert.rejects(npmPacking(directory, {}), /npm ls in .*: missing: absent@1\.0\.0.*\(npm install may mend it\)/);
});

test('the Node is a path, an installed package, or none; the manifest gets what package.json says', async (context) => {
  const files = { 'node_modules/some-node/bin/node': '', 'own/node': '', 'index.js': '' };
  for (const [node, from] of [
    ['./own/node', 'own/node'],
    ['some-node', 'node_modules/some-node/bin/node'],
  ] as const) {
    const directory = await folder(context, { northstate: { manifest, node } }, files);
    await using packing = await npmPacking(directory, {});
    assert.deepEqual(packing.options.additions?.[1], { at: '/bin/node', from: join(directory, from) });
    const { field, text } = packing.options.part ?? { field: '', text: '{}' };
    assert.equal(field, 'northstate.manifest');
    assert.deepEqual(JSON.parse(text), {
      ...{ name: 'b', version: '1.0.0', init: '/bin/node', args: ['/app/index.js'] },
      ...manifest,
    });
  }
  const bound = await folder(context, { northstate: { manifest: 'manifest.yaml' } }, files);
  await using packing = await npmPacking(bound, {});
  assert.deepEqual([packing.options.manifest, packing.options.additions?.length], [join(bound, 'manifest.yaml'), 1]);
});
