// What is kept of a configuration beside its file counts for exactly that file, or not at all.
import assert from 'node:assert/strict';
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { configurationOf, readSource } from '../../../src/config/read-configuration.ts';
import { findSummary, keepSummary, summaryFiles } from '../../../src/config/summary.ts';
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
  const [kept] = summaryFiles(source);
  await chmod(kept, 0o622);
  assert.equal(await findSummary(source), null);
  await chmod(kept, 0o600);
  const whole = await readFile(kept);
  for (const size of [0, 10, whole.length >> 1, whole.length - 1]) {
    await writeFile(kept, whole.subarray(0, size));
    assert.equal(await findSummary(source), null, `${size} bytes`);
  }
  await writeFile(kept, whole);
  assert.notEqual(await findSummary(source), null);
});

test('where nothing can be written beside the file it is kept in stateDir, and compared as strictly', async (context) => {
  const directory = await scratchDirectory(context);
  const file = join(directory, 'config.yaml');
  // Nothing is renamed to where a directory is.
  await mkdir(`${file}.summary`);
  for (const [index, line] of [
    'stateDir: DIR',
    'stateDir:  "DIR"  # here',
    "stateDir: 'DIR'",
    'stateDir: DIR # here',
  ].entries()) {
    const stateDir = join(directory, `state ${index}`);
    await mkdir(stateDir);
    await writeFile(file, `pids: 12\n${line.replace('DIR', stateDir)}\n`);
    const source = await readSource(file);
    await keepSummary(source, await configurationOf(source));
    assert.deepEqual(await readdir(stateDir), ['configuration.summary'], line);
    assert.equal((await findSummary(source))?.stateDir, stateDir);
    await writeFile(file, `pids: 13\n${line.replace('DIR', stateDir)}\n`);
    assert.equal(await findSummary(await readSource(file)), null);
  }
  await writeFile(file, `{ stateDir: ${directory} }\n`);
  const hidden = await readSource(file);
  await assert.rejects(
    keepSummary(hidden, await configurationOf(hidden)),
    /stateDir is not named on a line of its own/,
  );
});
