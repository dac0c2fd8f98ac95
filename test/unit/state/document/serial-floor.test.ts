import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openFloor } from '../../../../state/document/serial-floor.ts';

test('a floor that cannot be read is told, and not written over by a serial that may be lower', async (t) => {
  const stateDir = await mkdtemp(join(tmpdir(), 'northstate-floor-'));
  t.after(() => rm(stateDir, { recursive: true }));
  const file = join(stateDir, 'serial.json');
  await writeFile(file, 'torn');
  const told: (string | null)[] = [];
  const stand = (...said: readonly unknown[]): void => void told.push(said.at(-1) as string | null);
  const floor = openFloor({ stateDir, runDir: join(stateDir, 'run'), stand, failed: () => undefined });
  await assert.rejects(floor.get(), /holds no serial/);
  await floor.raise(3);
  assert.equal(await readFile(file, 'utf8'), 'torn');
  assert.match(told.join(), /holds no serial.*the serial 3 is not stored/);
});
