// The example for make: what is typed there, and what a change makes again.
import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { exampleProject } from '../../support/example-project.ts';

const isPacked = /^northstate pack/m;

test('make packs the program, runs as it is, and gives the same bytes in another directory', async (context) => {
  const [one, other] = [await exampleProject(context, 'make'), await exampleProject(context, 'make')];
  await one.ok('make', []);
  assert.equal(await one.ok('northstate', ['test', 'counter.npk']), '5 words\n');
  await other.ok('make', []);
  assert.equal(await one.digest('counter.npk'), await other.digest('counter.npk'));
});

test('make packs again when a file of the image changes, comes or goes, and not otherwise', async (context) => {
  const { directory, ok } = await exampleProject(context, 'make');
  assert.match(await ok('make', []), isPacked);
  assert.doesNotMatch(await ok('make', []), isPacked);
  // make compares times; those of a file system may be as coarse as a clock tick.
  const later = async (act: Promise<unknown>): Promise<void> => {
    await act;
    await ok('touch', ['-d', '+2 seconds', 'root/share']);
  };
  await later(writeFile(join(directory, 'root/share/more'), 'x'));
  assert.match(await ok('make', []), isPacked);
  await later(rm(join(directory, 'root/share/more')));
  await ok('touch', ['-d', '+4 seconds', 'root/share']);
  assert.match(await ok('make', []), isPacked);
});
