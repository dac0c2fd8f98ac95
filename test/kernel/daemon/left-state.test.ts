// Every kind of file that a runtime leaves in stateDir and runDir is in the fixture of its version: what is not there would not be
// read by the tests of those that come later (test/fixtures/keep-state.ts writes it).
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { runtimeVersion } from '../../../src/runtime-version.ts';
import { scratchDirectory } from '../../support/console/scratch.ts';
import { filesLeft, kindOf, leaving, type Left } from '../../support/left-state.ts';

const fixture = join(import.meta.dirname, `../../fixtures/state-${runtimeVersion}`);

for (const left of Object.keys(leaving) as Left[]) {
  test(`${left}: the fixture has every kind of file that is left`, async (t) => {
    await using daemon = await leaving[left](await scratchDirectory(t));
    const kept = new Set(filesLeft(left === 'plain' ? fixture : join(fixture, left)).map(kindOf));
    const kinds = new Set(filesLeft(daemon.directory).map(kindOf));
    assert.deepEqual([...kinds.difference(kept)], []);
  });
}
