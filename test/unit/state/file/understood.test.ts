import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { understood, understoodFile } from '../../../../state/file/understood.ts';

test('what was made of a text is made once, by each version, and anew of another text or when it was cut off', async () => {
  const runDir = mkdtempSync(join(tmpdir(), 'northstate-understood-'));
  try {
    let made = 0;
    const make = () => Promise.resolve(JSON.stringify({ made: (made += 1) }));
    const file = understoodFile(runDir, 'document', '0.1.0');
    assert.notEqual(file, understoodFile(runDir, 'document', '0.1.1'));
    assert.deepEqual(await understood(file, 'one', make), { made: 1 });
    assert.deepEqual(await understood(file, 'one', make), { made: 1 });
    assert.deepEqual(await understood(file, 'two', make), { made: 2 });
    writeFileSync(file, readFileSync(file, 'utf8').slice(0, -3));
    assert.deepEqual(await understood(file, 'two', make), { made: 3 });
    assert.equal(await understood(file, 'three', () => Promise.resolve(null)), null);
    assert.deepEqual(await understood(file, 'two', make), { made: 3 });
  } finally {
    rmSync(runDir, { recursive: true });
  }
});
