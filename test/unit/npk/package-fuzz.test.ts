// A fixed budget of fuzzing; more by hand: node test/unit/npk/fuzz-run.ts --cases 1000000.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzz } from './fuzz-watch.ts';

test('no spoiled package, signature, manifest or key crashes, hangs or eats memory', async () => {
  const { outcomes, broken } = await fuzz(1, 600);
  assert.deepEqual(broken, []);
  // The cases reach every check: each kind of fault came up, and good packages did, too.
  for (const reason of [
    'read',
    'archive',
    'entry',
    'manifest',
    'path',
    'signature',
    'hash',
    'verity',
    'image',
    'format-version',
  ]) {
    assert.ok(
      [...outcomes.keys()].some(
        (outcome) => outcome.endsWith(`ackage: ${reason}`) || outcome.endsWith(`Text: ${reason}`),
      ),
      `no case ended with "${reason}": ${[...outcomes.keys()].join(', ')}`,
    );
  }
});
