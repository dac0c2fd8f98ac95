// The config.yaml that is installed: every line that says a default says the right one.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { schemas } from '../../../src/cli/schema.ts';
import { checkConfiguration } from '../../../src/config/config-schema.ts';

const file = join(import.meta.dirname, '../../../src/release/files/config.yaml');

test('as it is it changes nothing, and without its comments it says the defaults', async () => {
  const text = await readFile(file, 'utf8');
  const defaults = checkConfiguration('', 'empty');
  assert.deepEqual(checkConfiguration(text, file), defaults);
  // What begins with a field's name is a setting; the repositories are an example.
  const settings = text
    .split('\n')
    .filter((line) => /^# *(- )?(?!repositories|system)[a-z][A-Za-z]*:/.test(line))
    .map((line) => line.slice(2))
    .join('\n');
  assert.deepEqual(checkConfiguration(settings, file), defaults);
  const told = Object.keys(parse(settings) as object);
  const known = Object.keys(schemas.configuration().properties ?? {});
  assert.deepEqual(known.filter((field) => !told.includes(field)).toSorted(), ['debug', 'repositories']);
});
