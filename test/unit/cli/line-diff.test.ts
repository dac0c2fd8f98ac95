import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import fc from 'fast-check';
import { unifiedDiff } from '../../../src/cli/line-diff.ts';

const diff = (before: string, after: string): string =>
  stripVTControlCharacters(unifiedDiff(before, after, { from: 'a', to: 'b' }));

test('a change is shown with three lines around it, each part with its place', () => {
  const lines = Array.from({ length: 20 }, (_, index) => `line ${index + 1}`);
  const changed = lines.with(1, 'two').toSpliced(15, 1);
  assert.equal(
    diff(`${lines.join('\n')}\n`, `${changed.join('\n')}\n`),
    `--- a
+++ b
@@ -1,5 +1,5 @@
 line 1
-line 2
+two
 line 3
 line 4
 line 5
@@ -13,7 +13,6 @@
 line 13
 line 14
 line 15
-line 16
 line 17
 line 18
 line 19
`,
  );
});

test('the same text has no difference', () => {
  assert.equal(diff('a\nb\n', 'a\nb\n'), '');
  assert.equal(diff('', ''), '');
});

test('what is printed leads patch(1) from the one text to the other', () => {
  const directory = mkdtempSync(join(tmpdir(), 'northstate-diff-'));
  const file = join(directory, 'a');
  const line = fc.constantFrom('a', 'b', 'c', 'd: 1', '- x');
  try {
    fc.assert(
      fc.property(fc.array(line, { maxLength: 12 }), fc.array(line, { maxLength: 12 }), (before, after) => {
        const [from, to] = [before, after].map((lines) => lines.map((each) => `${each}\n`).join('')) as [
          string,
          string,
        ];
        const patch = diff(from, to);
        if (from === to) return assert.equal(patch, '');
        writeFileSync(file, from);
        const { status, stderr } = spawnSync('patch', ['-s', '-N', file], { input: patch });
        assert.equal(status, 0, `${stderr.toString()}${patch}`);
        // patch(1) removes a file that has become empty.
        assert.equal(to === '' ? '' : readFileSync(file, 'utf8'), to);
      }),
      { numRuns: 40 },
    );
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('texts that differ in thousands of lines are compared in bounded time', () => {
  const text = (word: string): string => Array.from({ length: 20_000 }, (_, index) => `${word} ${index}\n`).join('');
  assert.equal(diff(text('a'), text('b')).split('\n').length, 2 + 1 + 40_000 + 1);
});
