// What is kept of a configuration beside its file counts for exactly that file, or not at all.
import assert from 'node:assert/strict';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { configurationOf, readSource } from '../../../src/config/read-configuration.ts';
import { findSummary, keepSummary, summaryFile } from '../../../src/config/summary.ts';
import { scratchDirectory } from '../../support/console/scratch.ts';

test('a summary gives the configuration that it was made of, and none for any other source', async (context) => {
  const file = join(await scratchDirectory(context), 'config.yaml');
  await writeFile(file, 'pids: 12 # a comment\nstateDir: /var/lib/some/place\n');
  const source = await readSource(file);
  assert.equal(await findSummary(source), null);
  const configuration = await configurationOf(source);
  await keepSummary(source, configuration);
  assert.deepEqual(await findSummary(await readSource(file)), configuration);

  const text = Buffer.from(source.text ?? []);
  const others = [
    { ...source, text: Buffer.from(text.toString().replace('12', '13')) },
    { ...source, text: Buffer.from(text.toString().replace('a comment', 'another')) },
    { ...source, text: Buffer.concat([text, Buffer.from('\n')]) },
    { ...source, text: null },
    { ...source, overrides: { desired: '/else/where.yaml' } },
    { ...source, overrides: { stateDir: '/else/where' } },
  ];
  for (const other of others) assert.equal(await findSummary(other), null, JSON.stringify(other));
});

test('a summary that others may write, or that is torn, counts for nothing', async (context) => {
  const file = join(await scratchDirectory(context), 'config.yaml');
  await writeFile(file, 'pids: 12\n');
  const source = await readSource(file);
  await keepSummary(source, await configurationOf(source));
  await chmod(summaryFile(file), 0o622);
  assert.equal(await findSummary(source), null);
  await chmod(summaryFile(file), 0o600);
  const whole = await readFile(summaryFile(file));
  for (const size of [0, 10, whole.length >> 1, whole.length - 1]) {
    await writeFile(summaryFile(file), whole.subarray(0, size));
    assert.equal(await findSummary(source), null, `${size} bytes`);
  }
  await writeFile(summaryFile(file), whole);
  assert.notEqual(await findSummary(source), null);
});
