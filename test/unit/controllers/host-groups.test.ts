import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { groupNumbers } from '../../../controllers/host-groups.ts';

const directory = mkdtempSync(join(tmpdir(), 'northstate-groups-'));
after(() => rmSync(directory, { recursive: true }));
const file = join(directory, 'group');
writeFileSync(file, 'root:x:0:\naudio:x:29:pulse\n# comment\nbroken:x:\nvideo:x:44:\n+\n');

test('gives the numbers of groups in the order of their names', () => {
  assert.deepEqual(groupNumbers(['video', 'audio'], file), { known: [44, 29], unknown: [] });
});

test('names those that the host does not have', () => {
  assert.deepEqual(groupNumbers(['broken', 'audio', 'nobody', '+'], file), {
    known: [29],
    unknown: ['broken', 'nobody', '+'],
  });
});

test('reads no file when there is no name', () => {
  assert.deepEqual(groupNumbers([], join(directory, 'gone')), { known: [], unknown: [] });
});

test('says when the file cannot be read', () => {
  assert.throws(() => groupNumbers(['audio'], join(directory, 'gone')), { code: 'ENOENT' });
});
