// The reconciler is compiled before it is started; what V8 does not take costs time, and nothing else.
import assert from 'node:assert/strict';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { functionsOf } from '../../../native/bundle-functions.ts';
import { installOwn } from '../../bench/own-programs.ts';
import { probePackage } from '../../support/packages.ts';
import { documentOf, startDaemon } from '../../support/test-daemon.ts';
import { succeed } from '../../support/successor.ts';

const root = join(import.meta.dirname, '../../..');
const said = 'each start compiles the reconciler';

/** What two starts of an installation log whose compiled files `change` has been given. */
async function logged(change: (files: readonly string[]) => Promise<void>): Promise<string> {
  await using installation = await installOwn();
  const bundle = join(dirname(installation.program), 'bundle');
  const names = (await readdir(bundle)).filter((name) => name.endsWith('.compiled'));
  assert.equal(names.length, 5);
  await change(names.map((name) => join(bundle, name)));
  await using daemon = await startDaemon({
    packages: [await probePackage({ name: 'one', args: ['sleep'] })],
    document: (directory) => documentOf(directory, 'one: {}'),
    program: installation.program,
  });
  await daemon.until('it runs', ({ converged }) => converged);
  await succeed(daemon);
  const log = await readFile(join(daemon.directory, 'log'), 'utf8');
  assert.equal(await daemon.stop(), 0);
  return log;
}

test('What is compiled before is taken', async () => {
  assert.ok(!(await logged(() => Promise.resolve())).includes(said));
});

test('What another Node has compiled is told once and done without', async () => {
  const log = await logged(async (files) => {
    for (const file of files) {
      const bytes = await readFile(file);
      bytes.fill(0, 4, 8); // the hash of V8's version
      await writeFile(file, bytes);
    }
  });
  assert.equal(log.split(said).length, 2, log);
});

test('An installation without compiled files works', async () => {
  const log = await logged(async (files) => {
    await Promise.all(files.map((file) => rm(file)));
  });
  assert.equal(log.split(said).length, 2, log);
});

test('The list of what a start calls is of these sources', async () => {
  const kept = (await readFile(join(root, 'native/started-functions.txt'), 'utf8')).trimEnd().split('\n');
  const text = (name: string): Promise<string> => readFile(join(root, '.build/reconciler', name), 'latin1');
  const names = (await readdir(join(root, '.build/reconciler'))).filter((name) => name.endsWith('.js'));
  const found = await Promise.all(names.map(async (name) => functionsOf(await text(name), await text(`${name}.map`))));
  const known = new Set(found.flat().map(({ key }) => key));
  const there = kept.filter((key) => known.has(key)).length / kept.length;
  assert.ok(there > 0.8, `${Math.round(there * 100)} % of native/started-functions.txt are there: npm run started`);
});
