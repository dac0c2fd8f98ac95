import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { checkForm, noteForm, notePatches } from '../../../src/daemon/state-form.ts';
import { Failure } from '../../../src/cli/exit.ts';

test('a stateDir that needs a later version is refused, and the version is named; what is only newer is taken', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'northstate-form-'));
  const file = join(directory, '.form');
  try {
    await checkForm(directory);
    await noteForm(directory);
    const written = readFileSync(file, 'utf8');
    assert.deepEqual(Object.keys(JSON.parse(written) as object), ['form', 'needs', 'runtime']);
    await checkForm(directory);

    writeFileSync(file, '{"form":9,"needs":1,"runtime":"0.9.0","more":true}');
    await checkForm(directory);
    await noteForm(directory);
    assert.match(readFileSync(file, 'utf8'), /"form":9/);

    assert.equal(await notePatches(directory), true);
    assert.deepEqual(JSON.parse(readFileSync(file, 'utf8')), { form: 9, needs: 2, runtime: '0.9.0' });

    writeFileSync(file, '{"form":1,"needs":1,"runtime":"0.0.9"}');
    assert.equal(await notePatches(directory), true);
    assert.match(readFileSync(file, 'utf8'), /"form":2,"needs":2,"runtime":"(?!0\.0\.9)/);

    writeFileSync(file, '{"form":9,"needs":9,"runtime":"0.9.0"}');
    await assert.rejects(checkForm(directory), (error) => {
      assert.ok(error instanceof Failure);
      assert.match(error.message, /is of form 9, written by northstate 0\.9\.0; northstate \S+ reads form 2/);
      assert.match(error.hint ?? '', /run northstate 0\.9\.0 or later/);
      return true;
    });
    writeFileSync(file, '{}');
    await assert.rejects(checkForm(directory), /says no form/);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
