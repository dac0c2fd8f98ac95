// northstate test: how it ends, and that nothing of it stays.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { northstate, run, type Output } from '../../support/command.ts';
import { scratchDirectory } from '../../support/console/scratch.ts';
import { leftovers, openDescriptors } from '../../support/leaks.ts';
import { keyPair, probePackage } from '../../support/packages.ts';

const tested = (...words: readonly string[]): Promise<Output> => run(northstate, ['test', ...words]);

test('it ends as the container ends: exit code, signal, the code that is expected', async () => {
  const probe = await probePackage({
    name: 'ends',
    args: ['print', '1', 'said', 'print', '2', 'complained', 'exit', '3'],
  });
  const ended = await tested(probe);
  assert.deepEqual(ended, { code: 3, stdout: 'said\n', stderr: 'complained\n' });
  const killed = await tested(probe, '--', 'raise', '9');
  assert.deepEqual([killed.code, killed.stderr], [137, 'northstate: ended with SIGKILL\n']);
  assert.equal((await tested(probe, '--expect', '3')).code, 0);
  const other = await tested(probe, '--expect', '4', '--', 'exit', '5');
  assert.deepEqual([other.code, other.stderr], [1, 'northstate: the exit code is 5, and 4 was expected\n']);
});

test('variables, resources and keys reach it', async () => {
  const [right, wrong] = [await keyPair('right'), await keyPair('wrong')];
  const resource = await probePackage({
    ...{ name: 'words', key: 'right', files: { text: 'from the resource\n' } },
    fields: 'init: null\nargs: null\nio: null\n',
  });
  const probe = await probePackage({
    ...{ name: 'reads', key: 'right', args: ['env', 'cat', '/words/text'] },
    fields: 'mounts: { /words: { type: resource, name: words, version: "1", dir: / } }\n',
  });
  const good = await tested(probe, '--with', resource, '--key', right.public, '--env', 'A=b=c');
  assert.equal(good.code, 0, good.stderr);
  assert.match(good.stdout, /^A=b=c$/m);
  assert.match(good.stdout, /^from the resource$/m);
  const alone = await tested(probe);
  assert.equal(alone.code, 125);
  assert.match(alone.stderr, /^northstate: reads cannot be started: .*words/);
  const refused = await tested(probe, '--with', resource, '--key', wrong.public);
  assert.equal(refused.code, 125);
  assert.match(refused.stderr, /reads cannot be started: /);
});

test('what runs too long is ended, what is no package is named', async () => {
  const probe = await probePackage({ name: 'sleeps', args: ['sleep'] });
  const late = await tested(probe, '--timeout', '2s');
  assert.deepEqual([late.code, late.stderr], [124, 'northstate: sleeps has not ended within 2 s\n']);
  const none = await tested(import.meta.filename);
  assert.equal(none.code, 125);
  assert.match(none.stderr, /^northstate: .*container-test\.test\.ts: /);
});

test('killed in the middle, it takes its runtime and the container along', async (context) => {
  const scratch = join(await scratchDirectory(context), 'scratch-of-a-killed-test');
  await mkdir(scratch);
  const probe = await probePackage({ name: 'goes', args: ['print', '1', 'runs', 'sleep'] });
  const child = spawn(northstate, ['test', probe], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, TMPDIR: scratch },
  });
  await once(child.stdout, 'data');
  const [mark = ''] = readdirSync(scratch);
  assert.match(mark, /^northstate-test-/);
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.deepEqual(await leftovers(mark, openDescriptors(), 60_000), []);
});

test('nothing stays of a test that has ended', async (context) => {
  const scratch = await scratchDirectory(context);
  const probe = await probePackage({ name: 'ends', args: ['exit', '0'] });
  assert.equal((await run(northstate, ['test', probe], { TMPDIR: scratch })).code, 0);
  assert.deepEqual(readdirSync(scratch), []);
});
