import assert from 'node:assert/strict';
import { mkdir, open, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { run } from '../../support/command.ts';
import { enterMountNamespace } from '../../support/namespace.ts';
import { has, head, makePlace, namesIn, until } from './document-fixture.ts';

enterMountNamespace();

const one = `${head}containers:\n  one: {}\n`;
const two = `${head}containers:\n  two: {}\n`;
const three = `${head}containers:\n  three: {}\n`;

test('a file that is written in place is read when it has come to rest', async (t) => {
  const place = await makePlace(t, one);
  const { store } = await place.open();
  const seen: string[][] = [];
  store.subscribe((_, state) => seen.push(namesIn(state)));
  const handle = await open(place.path, 'w');
  for (const line of two.split(/(?<=\n)/)) await handle.write(line);
  await handle.close();
  await until(store, has('two'));
  assert.deepEqual(
    seen.filter((names) => !names.includes('one') && !names.includes('two')),
    [],
  );
});

test('a file that is renamed over the document is read', async (t) => {
  const place = await makePlace(t, one);
  const { store } = await place.open();
  for (const [text, name] of [
    [two, 'two'],
    [three, 'three'],
  ] as const) {
    await writeFile(`${place.path}.part`, text);
    await rename(`${place.path}.part`, place.path);
    await until(store, has(name));
  }
});

test("an editor's backup dance is followed", async (t) => {
  const place = await makePlace(t, one);
  const { store } = await place.open();
  for (const [text, name] of [
    [two, 'two'],
    [three, 'three'],
  ] as const) {
    await rename(place.path, `${place.path}~`);
    await writeFile(place.path, text);
    await until(store, has(name));
    await unlink(`${place.path}~`);
  }
});

test('a document that goes missing stays in force, and is read when it comes back', async (t) => {
  const place = await makePlace(t, one);
  const { store } = await place.open();
  await unlink(place.path);
  const gone = await until(store, ({ document }) => document.status === 'invalid');
  assert.match(gone.document.error?.message ?? '', /missing/);
  assert.deepEqual(namesIn(gone), ['one']);
  await place.write(two);
  assert.equal((await until(store, has('two'))).document.status, 'ok');
});

test('a symbolic link that is swapped is followed', async (t) => {
  const place = await makePlace(t, null);
  await writeFile(join(place.dir, 'v1.yaml'), one);
  await writeFile(join(place.dir, 'v2.yaml'), two);
  await symlink('v1.yaml', place.path);
  const { store } = await place.open();
  assert.deepEqual(namesIn(store.get()), ['one']);
  await symlink('v2.yaml', `${place.path}.new`);
  await rename(`${place.path}.new`, place.path);
  await until(store, has('two'));
  await writeFile(join(place.dir, 'v2.yaml'), three);
  await until(store, has('three'));
});

test('a link to a directory above the document that is swapped is followed, again and again', async (t) => {
  const place = await makePlace(t, null);
  for (const [name, text] of [
    ['v1', one],
    ['v2', two],
    ['v3', three],
  ] as const) {
    await mkdir(join(place.dir, 'versions', name, 'etc'), { recursive: true });
    await writeFile(join(place.dir, 'versions', name, 'etc', 'desired.yaml'), text);
  }
  const current = join(place.dir, 'current');
  await symlink('versions/v1', current);
  const { store } = await place.open({ desired: join(current, 'etc', 'desired.yaml') });
  for (const [version, name] of [
    ['v2', 'two'],
    ['v3', 'three'],
    ['v1', 'one'],
  ] as const) {
    await symlink(join(place.dir, 'versions', version), `${current}.new`);
    await rename(`${current}.new`, current);
    await until(store, has(name));
  }
});

test('a directory that is replaced by another of its name is followed', async (t) => {
  const place = await makePlace(t, null);
  const etc = join(place.dir, 'etc');
  await mkdir(etc);
  await writeFile(join(etc, 'desired.yaml'), one);
  const { store } = await place.open({ desired: join(etc, 'desired.yaml') });
  await rename(etc, `${etc}.old`);
  await until(store, ({ document }) => document.status === 'invalid');
  await mkdir(etc);
  await writeFile(join(etc, 'desired.yaml'), two);
  await until(store, has('two'));
  await rm(`${etc}.old`, { recursive: true });
  await writeFile(join(etc, 'desired.yaml'), three);
  await until(store, has('three'));
});

test('a file system that is mounted over the directory of the document is followed, once mounts are looked at', async (t) => {
  const place = await makePlace(t, null);
  const etc = join(place.dir, 'etc');
  await mkdir(etc);
  await writeFile(join(etc, 'desired.yaml'), one);
  const { store, documents } = await place.open({ desired: join(etc, 'desired.yaml') });
  await run('mount', ['-t', 'tmpfs', '-o', 'size=1m,mode=755', 'tmpfs', etc]);
  await writeFile(join(etc, 'desired.yaml'), two);
  documents.follow();
  await until(store, has('two'));
  await writeFile(join(etc, 'desired.yaml'), three);
  await until(store, has('three'));
  await run('umount', [etc]);
  documents.follow();
  await until(store, has('one'));
});

test('a broken document changes nothing and shows in the status with its place, until it is mended', async (t) => {
  const place = await makePlace(t, one);
  const { store } = await place.open();
  const before = store.get().desired;
  await place.write(`${head}containers:\n  one: { state: up }\n`);
  const broken = await until(store, ({ document }) => document.status === 'invalid');
  assert.equal(broken.desired, before);
  assert.deepEqual([broken.generation, broken.document.error?.line, broken.document.error?.column], [1, 3, 17]);
  assert.equal(broken.document.error?.excerpt, '  one: { state: up }\n                ^');
  await place.write(one);
  assert.equal((await until(store, ({ document }) => document.status === 'ok')).generation, 1);
});

test('an edit of a comment is a new generation and changes no entry', async (t) => {
  const place = await makePlace(t, one);
  const { store } = await place.open();
  const before = store.get().desired.containers.get('one');
  await place.write(`${one}# a comment\n`);
  const after = await until(store, ({ generation }) => generation === 2);
  assert.equal(after.desired.containers.get('one'), before);
});

test('of a document with an end mark no torn part ever changes what is in force', async (t) => {
  const whole = `${head}containers:\n  one: { state: mounted }\n  two: { run: 1 }\n...\n`;
  const place = await makePlace(t, whole);
  const { store } = await place.open();
  const { desired } = store.get();
  const { generation } = store.get();
  for (let length = 0; length < whole.length - 1; length += 7) {
    await place.write(whole.slice(0, length));
    const torn = await until(store, ({ document }) => document.status === 'invalid');
    assert.deepEqual([torn.desired, torn.generation], [desired, generation], `${length} bytes`);
    await place.write(whole);
    await until(store, ({ document }) => document.status === 'ok');
  }
});

test('a document that others may write is refused, naming what is open to them', async (t) => {
  const place = await makePlace(t, null);
  const open = join(place.dir, 'open');
  await mkdir(open);
  await writeFile(join(open, 'desired.yaml'), one);
  const { chmod } = await import('node:fs/promises');
  await chmod(open, 0o777);
  const { store } = await place.open({ desired: join(open, 'desired.yaml') });
  const { document, desired } = store.get();
  assert.equal(document.status, 'invalid');
  assert.ok(document.error?.message.startsWith(`${open} is writable by others`), document.error?.message);
  assert.equal(desired.containers.size, 0);
  await chmod(open, 0o1777);
  await place.write('');
  await writeFile(join(open, 'desired.yaml'), two);
  await until(store, has('two'));
});

test('a document that is no file, too big or not UTF-8 is refused', async (t) => {
  const place = await makePlace(t, one);
  const { store } = await place.open();
  const contents = [
    [Buffer.from([0x61, 0xff]), /UTF-8/],
    [Buffer.alloc(1024 * 1024 + 1, '#'), /1048577 bytes/],
  ] as const;
  for (const [bytes, message] of contents) {
    await writeFile(place.path, bytes);
    await until(store, ({ document }) => message.test(document.error?.message ?? ''));
  }
  await unlink(place.path);
  await mkdir(place.path);
  await until(store, ({ document }) => /not a regular file|EISDIR|ELOOP/.test(document.error?.message ?? ''));
  assert.deepEqual(namesIn(store.get()), ['one']);
});
