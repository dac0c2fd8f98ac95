// Where what earlier boots have read of packages counts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { earlierContents } from '../../../src/daemon/earlier-contents.ts';
import { bootPlanUses } from '../../../src/config/configuration.ts';

const log = { debug: () => undefined };
const program = 'file:///opt/bundle/reconciler-0123456789abcdef.cjs';

test('where documents must be signed it counts only when stateDir is trusted, and for sources never', () => {
  const counts = (documentKeys: readonly string[], from = program): string[] =>
    bootPlanUses.filter(
      (bootPlan) => earlierContents({ stateDir: '/state', documentKeys, bootPlan }, { log, program: from }) !== null,
    );
  assert.deepEqual(counts([]), ['auto', 'trusted', 'never']);
  assert.deepEqual(counts(['/etc/key.pub']), ['trusted']);
  assert.deepEqual(counts([], import.meta.url), []);
});
