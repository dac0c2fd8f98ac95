import assert from 'node:assert/strict';
import { copyFile, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { digestOf } from '../../../controllers/repositories/repository-install.ts';
import { fileServer } from '../../support/file-server.ts';
import { bulk, keyPair, probePackage } from '../../support/packages.ts';
import { entry, fixture, install, installed, openAll, other } from './repository-fixture.ts';

// libuv opens a descriptor to spare with the first socket of a process, which stays: before any are counted.
await (await fileServer({}))[Symbol.asyncDispose]();

const { signal } = new AbortController();
const keys = [(await keyPair('remote')).public];
const made = (version: string): Promise<string> =>
  probePackage({ name: 'app', version, key: 'remote', files: { data: bulk(700_000), version } });
const old = await made('1.0.0');
const fresh = await made('2.0.0');
const bytes = await readFile(fresh);

test('a package comes from a server, and blocks that the older one has do not', async () => {
  await using server = await fileServer({ 'app.npk': bytes });
  await openAll(entry('system', { keys }));
  await install(old);
  await install(server.url('app.npk').href);
  assert.deepEqual(installed(), ['app:1.0.0 in system', 'app:2.0.0 in system']);
  assert.deepEqual(await readFile(join(fixture.system, 'app:2.0.0.npk')), bytes);
  assert.ok(server.sent < bytes.length / 2, `${server.sent} of ${bytes.length}`);
});

test('into memory as well', async () => {
  await using server = await fileServer({ 'app.npk': bytes });
  await openAll(entry('system', { type: 'mem', keys }));
  await install(server.url('app.npk').href);
  assert.deepEqual(installed(), ['app:2.0.0 in system']);
});

test('without TLS a key or a digest must vouch for it', async () => {
  await using server = await fileServer({ 'app.npk': bytes });
  await openAll(entry('system'));
  const source = server.url('app.npk').href;
  await assert.rejects(install(source), /anybody on the way could answer.*use https:/);
  assert.equal(server.asked.length, 0);
  await install(source, { digest: await digestOf(fresh, signal) });
  assert.deepEqual(installed(), ['app:2.0.0 in system']);
});

test('a fetch that is cut short goes on where it was, and what is not the package leaves nothing', async () => {
  await using server = await fileServer({ 'app.npk': bytes, 'other.npk': await readFile(other) });
  await openAll(entry('system', { keys }));
  const source = server.url('app.npk').href;
  let answers = 0;
  server.misbehave = (_, response) => {
    answers += 1;
    if (answers < 3) return false;
    response.writeHead(404).end();
    return true;
  };
  await assert.rejects(install(source), /404 \(not found\)/);
  assert.deepEqual(await readdir(fixture.system), ['.northstate-install-fetch-app']);
  assert.deepEqual(installed(), []);
  await fixture.repositories.close();
  await openAll(entry('system', { keys }));
  server.misbehave = null;
  await install(source);
  assert.deepEqual(await readdir(fixture.system), ['app:2.0.0.npk']);
  assert.deepEqual(await readFile(join(fixture.system, 'app:2.0.0.npk')), bytes);
  await assert.rejects(install(server.url('other.npk').href), /not a package for this repository: .*not signed/);
  assert.deepEqual(await readdir(fixture.system), ['app:2.0.0.npk']);
});

test('a link or a file of somebody else in the place of a fetch is not written to', async () => {
  await using server = await fileServer({ 'app.npk': bytes });
  await openAll(entry('system', { keys }));
  const outside = join(fixture.directory, 'outside');
  await writeFile(outside, 'as it was');
  await symlink(outside, join(fixture.system, '.northstate-install-fetch-app'));
  await install(server.url('app.npk').href);
  assert.equal(await readFile(outside, 'utf8'), 'as it was');
  assert.deepEqual(installed(), ['app:2.0.0 in system']);
});

test('a repository that is full is said so before a byte is written', async () => {
  await using server = await fileServer({ 'app.npk': bytes });
  await openAll(entry('system', { keys, capacity: { containers: null, size: bytes.length - 1 } }));
  await assert.rejects(install(server.url('app.npk').href), /repository system is full/);
  assert.deepEqual(await readdir(fixture.system), []);
  assert.equal(server.asked.length, 1);
});

test('a package whose blocks were spoilt on our disk is no donor of spoilt blocks', async () => {
  await using server = await fileServer({ 'app.npk': bytes });
  await openAll(entry('system', { keys }));
  await install(old);
  const path = join(fixture.system, 'app:1.0.0.npk');
  const spoilt = await readFile(path);
  spoilt.fill(0, 200_000, 300_000);
  await writeFile(`${path}.new`, spoilt);
  await copyFile(`${path}.new`, path);
  await install(server.url('app.npk').href);
  assert.deepEqual(await readFile(join(fixture.system, 'app:2.0.0.npk')), bytes);
});
