import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { run } from '../../support/command.ts';

test('the demo shows all that it announces, within a minute, and leaves nothing behind', async () => {
  const { code, stdout, stderr } = await run(process.execPath, [
    join(import.meta.dirname, '../../../examples/demo.ts'),
  ]);
  assert.equal(code, 0, stdout + stderr);
  assert.equal(stdout.split('✓').length - 1, 7, stdout);
});
