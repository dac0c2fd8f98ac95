// northstate reset, on directories of its own.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { northstate, run, type Output } from '../../support/command.ts';

interface Device {
  readonly path: (name: string) => string;
  readonly reset: (...options: readonly string[]) => Promise<Output>;
}

/** Directories as a device has them after a while; a container has put a link into what it keeps. */
async function used(context: TestContext): Promise<Device> {
  const directory = await mkdtemp(join(tmpdir(), 'northstate-reset-'));
  context.after(() => rm(directory, { recursive: true }));
  const path = (name: string): string => join(directory, name);
  for (const name of ['data/broker/deep', 'state/generations', 'host', 'run'])
    await mkdir(path(name), { recursive: true });
  for (const name of [
    'data/broker/deep/file',
    'state/generations/1-file.json',
    'state/.lock',
    'state/serial.json',
    'run/serial.json',
    'desired.yaml.sig',
    'desired.yaml',
    'host/file',
  ]) {
    await writeFile(path(name), 'x');
  }
  await symlink(path('host'), path('data/broker/link'));
  await writeFile(
    path('config.yaml'),
    `desired: ${path('desired.yaml')}\nstateDir: ${path('state')}\ndataDir: ${path('data')}\nrunDir: ${path('run')}\n`,
  );
  return { path, reset: (...options) => run(northstate, ['reset', '--config', path('config.yaml'), ...options]) };
}

test('--data takes what containers keep, and follows no link that one of them has set', async (context) => {
  const { path, reset } = await used(context);
  assert.equal((await reset('--data')).code, 0);
  assert.deepEqual(await readdir(path('data')), []);
  assert.equal(await readFile(path('host/file'), 'utf8'), 'x');
  assert.ok((await readdir(path('state'))).includes('generations'));
  assert.equal(await readFile(path('state/serial.json'), 'utf8'), 'x', 'what signed documents have come to stays');
  assert.equal(await readFile(path('desired.yaml'), 'utf8'), 'x');
});

test('--all takes the document and its history as well; the lock stays', async (context) => {
  const { path, reset } = await used(context);
  assert.equal((await reset('--all')).code, 0);
  assert.deepEqual(await readdir(path('data')), []);
  assert.deepEqual(await readdir(path('state')), ['.lock']);
  for (const gone of ['desired.yaml', 'desired.yaml.sig', 'run/serial.json'])
    await assert.rejects(readFile(path(gone)), { code: 'ENOENT' }, gone);
  assert.equal((await reset('--all')).code, 0);
});

test('neither and both are wrong usage', async (context) => {
  const { reset } = await used(context);
  for (const options of [[], ['--all', '--data']]) {
    const { code, stderr } = await reset(...options);
    assert.equal(code, 2);
    assert.match(stderr, /reset needs one of --data and --all/);
  }
});
