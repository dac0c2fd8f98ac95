// A start as the application sees it: who it is, what it has open, how its end is told.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { probePackage } from '../packages.ts';
import { fixture, openBoxes } from '../sandbox/boxes.ts';

test('starts the smallest package', async () => {
  await using boxes = await openBoxes();
  const running = await boxes.launch({ package: fixture('minimal-1.0.0') });
  assert.equal(running.state, 'running');
  await boxes.reconciler.call('kill', running.id, 9);
  assert.deepEqual((await boxes.ended(running)).exit, { signal: 9 });
});

test('tells the exit codes of applications', async () => {
  await using boxes = await openBoxes();
  const app = await probePackage({ name: 'exits' });
  for (const code of [0, 1, 10, 127, 128, 255]) {
    assert.deepEqual((await boxes.run({ package: app, args: ['exit', String(code)] })).exit, { code });
  }
});
