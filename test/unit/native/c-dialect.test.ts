// The one dialect of all C in the repository: formatted as .clang-format says, with block comments and `#pragma once`.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const root = join(import.meta.dirname, '../../..');
const files = globSync('{native,examples,test}/**/*.{c,h}', { cwd: root });

/** What in the text of a file is not of the dialect, each with its line. */
function findings(text: string, isHeader: boolean): string[] {
  const found: string[] = [];
  text.split('\n').forEach((line, index) => {
    const code = line.replace(/"(?:[^"\\]|\\.)*"/g, '""');
    if (/(^|[^:])\/\//.test(code)) found.push(`${index + 1}: a line comment`);
    if (/\/\*\*/.test(code)) found.push(`${index + 1}: a comment that begins with two stars`);
    if (/^\s*\/\* (?!.*\*\/)/.test(line))
      found.push(`${index + 1}: a long comment whose text begins in its first line`);
    if (line.length > 120) found.push(`${index + 1}: more than 120 columns`);
  });
  if (isHeader && !/^#pragma once$/m.test(text)) found.push('1: no #pragma once');
  return found;
}

test('C is written in one dialect', () => {
  assert.ok(files.length > 40);
  const wrong = files.flatMap((file) =>
    findings(readFileSync(join(root, file), 'utf8'), file.endsWith('.h')).map((what) => `${file}:${what}`),
  );
  assert.deepEqual(wrong, []);
});

test('C is formatted as .clang-format says', () => {
  const { status, stderr, error } = spawnSync('clang-format-19', ['--dry-run', '--Werror', ...files], {
    cwd: root,
    encoding: 'utf8',
  });
  assert.equal(error, undefined, 'clang-format-19 comes with native/setup.sh --test');
  assert.equal(status, 0, stderr);
});

test('what is not of the dialect is found', () => {
  const text = ['/* fine */', 'int a; // b', '/** c */', '/* d', ' */', `/* ${'e'.repeat(120)} */`, '"http://f"'];
  assert.deepEqual(findings(text.join('\n'), true), [
    '2: a line comment',
    '3: a comment that begins with two stars',
    '4: a long comment whose text begins in its first line',
    '6: more than 120 columns',
    '1: no #pragma once',
  ]);
});
