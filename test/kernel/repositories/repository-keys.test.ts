// Repositories with keys: what is taken, what is refused, and what is checked again when a key changes.
import assert from 'node:assert/strict';
import { chmod, copyFile, mkdir, open, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { readPackage } from '../../../src/npk/open-package.ts';
import { bulk, keyPair, probePackage } from '../../support/packages.ts';
import {
  broken,
  entry,
  fixture,
  install,
  installed,
  installedPackages,
  noticed,
  one,
  openAll,
} from './repository-fixture.ts';

const first = await keyPair('first');
const second = await keyPair('second');
const signed = await probePackage({ name: 'app', key: 'first', files: { bulk: bulk(100_000) } });
const newer = await probePackage({ name: 'app', version: '2.0.0', key: 'second' });

const keyed = (keys: readonly string[]) => entry('system', { keys, integrity: 'full-check' });

/** Copies a package with one bit of its image changed: of a data block, or of the tree behind them. */
async function spoilt(path: string, part: 'data' | 'tree'): Promise<string> {
  const { image, verified } = await readPackage(path, { keys: await keysOf(first.public) });
  const { superblockOffset, treeOffset, levels } = verified?.tree ?? assert.fail('not signed');
  const at = part === 'data' ? superblockOffset - 4096 : (levels[0]?.offset ?? treeOffset);
  const copy = join(fixture.directory, `${part}.npk`);
  await copyFile(path, copy);
  const file = await open(copy, 'r+');
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, image.offset + at + 8);
  await file.write(Buffer.from([(byte[0] ?? 0) ^ 1]), 0, 1, image.offset + at + 8);
  await file.close();
  return copy;
}

async function keysOf(path: string) {
  const { readKeys } = await import('../../../src/npk/signature/keys.ts');
  return readKeys(path);
}

test('a repository with a key takes what that key has signed, and reports the rest', async () => {
  await copyFile(signed, join(fixture.system, 'signed'));
  await copyFile(newer, join(fixture.system, 'of another key'));
  await copyFile(one, join(fixture.system, 'unsigned'));
  await openAll(keyed([first.public]));
  assert.deepEqual(installed(), ['app:1.0.0 in system']);
  const [found] = installedPackages();
  const [key] = await keysOf(first.public);
  assert.equal(found?.signed?.by, key?.id);
  assert.equal(found?.integrity, 'full-check');
  assert.match(broken().get('of another key') ?? '', /signature/);
  assert.match(broken().get('unsigned') ?? '', /sign/);
  const { verified, integrity } = fixture.repositories.current().repositories.get('system') ?? assert.fail();
  assert.deepEqual([verified, integrity], [true, 'full-check']);
});

test('several keys are taken while one is replaced by the next', async () => {
  await copyFile(signed, join(fixture.system, 'old'));
  await copyFile(newer, join(fixture.system, 'new'));
  await openAll(keyed([second.public, first.public]));
  assert.deepEqual(installed(), ['app:1.0.0 in system', 'app:2.0.0 in system']);
});

test('a key that goes takes its packages with it, cached or not; what it has not signed stays', async () => {
  await copyFile(signed, join(fixture.system, 'old'));
  await copyFile(newer, join(fixture.system, 'new'));
  await openAll(keyed([second.public, first.public]));
  const only = new Map([['system', keyed([second.public])]]);
  assert.deepEqual(await fixture.repositories.setRepositories(only), ['app']);
  assert.deepEqual(installed(), ['app:2.0.0 in system']);
  assert.deepEqual(await readdir(fixture.system), ['new', 'old']);
  const none = new Map([['system', entry('system')]]);
  await fixture.repositories.setRepositories(none);
  assert.deepEqual(
    installedPackages().map(({ signed: by }) => by),
    [null, null],
  );
});

test('an installation is checked to the last block: a package that was damaged on its way leaves nothing', async () => {
  await openAll(keyed([first.public]));
  for (const part of ['data', 'tree'] as const) {
    await assert.rejects(install(await spoilt(signed, part)), { reason: 'BadPackage', message: /block|tree/ });
  }
  await assert.rejects(install(one), { reason: 'BadPackage', message: /sign/ });
  assert.deepEqual(await readdir(fixture.system), []);
  await install(signed);
  assert.deepEqual(installed(), ['app:1.0.0 in system']);
});

test('an installation into memory is checked as well', async () => {
  const memory = entry('scratch', { type: 'mem', keys: [first.public], integrity: 'full-check' });
  await openAll(memory);
  const into = { repository: 'scratch' };
  await assert.rejects(install(await spoilt(signed, 'data'), into), { reason: 'BadPackage' });
  await assert.rejects(install(one, into), { reason: 'BadPackage' });
  assert.equal(fixture.kept.size, 0);
  await install(signed, into);
  assert.deepEqual(installed(), ['app:1.0.0 in scratch']);
});

const faults: Record<string, { key: () => Promise<string>; says: RegExp }> = {
  missing: { key: async () => join(fixture.directory, 'no.pub'), says: /no\.pub.*ENOENT|ENOENT.*no\.pub/ },
  'not a key': {
    async key() {
      const path = join(fixture.directory, 'bad.pub');
      await writeFile(path, 'not a key');
      return path;
    },
    says: /bad\.pub is no ed25519 key/,
  },
  'writable by others': {
    async key() {
      const path = join(fixture.directory, 'open.pub');
      await writeFile(path, await readFile(first.public));
      await chmod(path, 0o666);
      return path;
    },
    says: /open\.pub is writable by others/,
  },
};

for (const [what, { key, says }] of Object.entries(faults)) {
  test(`a repository whose key is ${what} says so, and gives and takes nothing`, async () => {
    await copyFile(signed, join(fixture.system, 'signed'));
    await openAll(keyed([await key()]));
    assert.deepEqual(installed(), []);
    assert.match(fixture.repositories.current().repositories.get('system')?.error ?? '', says);
    await assert.rejects(install(signed), { reason: 'UnknownRepository', message: says });
  });
}

test('a key that is missing is waited for, and taken once only root may change it', async () => {
  const key = join(fixture.directory, 'later/key.pub');
  await copyFile(signed, join(fixture.system, 'signed'));
  await openAll(keyed([key]));
  const error = () => fixture.repositories.current().repositories.get('system')?.error ?? '';
  assert.match(error(), /key\.pub.*ENOENT|ENOENT.*key\.pub/);
  await mkdir(join(fixture.directory, 'later'));
  await writeFile(`${key}.part`, await readFile(first.public));
  await chmod(`${key}.part`, 0o666);
  await rename(`${key}.part`, key);
  await noticed(() => /writable by others/.test(error()));
  await chmod(key, 0o644);
  await noticed(() => error() === '');
  assert.deepEqual(installed(), ['app:1.0.0 in system']);
});

test('a directory that others may write to is refused as a repository with a key', async () => {
  await mkdir(join(fixture.directory, 'open'));
  await chmod(join(fixture.directory, 'open'), 0o777);
  await openAll(entry('open', { keys: [first.public], integrity: 'full-check' }));
  assert.match(fixture.repositories.current().repositories.get('open')?.error ?? '', /open is writable by others/);
});
