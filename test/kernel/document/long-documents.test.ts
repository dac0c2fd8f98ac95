// Documents that are so long that their generations are stored as patches of others.
import assert from 'node:assert/strict';
import { readdir, readFile, rm, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { checkForm, notePatches } from '../../../src/daemon/state-form.ts';
import { head, makePlace, namesIn, type Place } from './document-fixture.ts';

const console = { lifetime: 'document', origin: 'console' } as const;
const names = Array.from({ length: 60 }, (_, index) => `c-${index}`);
const long = `${head}containers:\n${names.map((name) => `  ${name}: { state: mounted }\n`).join('')}...\n`;

async function opened(t: TestContext, time = 2000) {
  const place = await makePlace(t, long);
  let now = 0;
  const open = (bootId = 'this') =>
    place.open({ bootId, now: () => (now += time), announcePatches: () => notePatches(join(place.dir, 'state')) });
  const { documents, store } = await open();
  const patch = async (key: string, field: string, value: unknown) =>
    (await documents.patch([{ op: 'add', path: `/containers/${key}/${field}`, value }], console)).durable;
  return { place, open, documents, store, patch };
}

async function stored({ dir }: Place): Promise<string[]> {
  return (await readdir(join(dir, 'state/generations'))).toSorted();
}

test('as many are kept as of a short one, each with its own text, over starts and boots', async (t) => {
  const { place, open, documents, patch } = await opened(t);
  for (let n = 0; n < 25; n++) {
    assert.equal(await patch(names[n] ?? '', 'run', n), null);
    if (n % 3 === 0)
      await documents.apply((await place.read()).replace('...\n', `  more-${n}: {}\n...\n`), { origin: 'ota' });
  }
  await documents.close();
  const files = await stored(place);
  assert.ok(files.filter((name) => name.includes('-of-')).length > 20, files.join(' '));
  const texts = await Promise.all((await documents.history()).map(({ generation }) => documents.textOf(generation)));
  assert.equal(new Set(texts).size, texts.length);
  for (const bootId of ['this', 'another']) {
    const again = await open(bootId);
    const history = await again.documents.history();
    assert.deepEqual(
      (['console', 'file', 'apply'] as const).map((each) => history.filter(({ kind }) => kind === each).length),
      [20, 1, 9],
    );
    assert.deepEqual(await Promise.all(history.map(({ generation }) => again.documents.textOf(generation))), texts);
    assert.equal(again.store.get().desired.containers.get('c-24')?.run?.id, 24);
    assert.deepEqual(namesIn(again.store.get()).slice(-2), ['more-21', 'more-24']);
    await again.documents.close();
  }
  const last = await open('another');
  const [first] = await last.documents.history();
  await last.documents.rollback(first?.generation ?? 0, { origin: 'cli' });
  assert.equal(await place.read(), texts[0]);
});

test('patches within a second are one, and the one that they are of stays', async (t) => {
  const { place, open, documents, patch } = await opened(t, 100);
  for (const value of [1, 2, 3]) await patch('c-1', 'run', value);
  await documents.close();
  assert.deepEqual(await stored(place), ['0000000001-file.json', '0000000004-console-of-0000000001.json']);
  assert.equal((await open('another')).store.get().desired.containers.get('c-1')?.run?.id, 3);
});

test('a change writes what it says, to the disk and to runDir', async (t) => {
  const { place, documents, patch } = await opened(t);
  for (const value of [1, 2]) await patch('c-1', 'run', value);
  await documents.close();
  const sizes = async (directory: string): Promise<number[]> => {
    const found = (await readdir(join(place.dir, directory))).toSorted();
    return await Promise.all(found.map(async (name) => (await stat(join(place.dir, directory, name))).size));
  };
  const [whole = 0, ...patches] = await sizes('state/generations');
  assert.ok(
    whole > 32_768 && patches.length === 2 && patches.every((size) => size < 2500),
    `${whole} ${patches.join()}`,
  );
  // The first of the boot is whole there.
  assert.deepEqual(await stored(place), [
    '0000000001-file.json',
    '0000000002-console-of-0000000001.json',
    '0000000003-console-of-0000000001.json',
  ]);
  const [base = 0, newest = 0] = await sizes('run/generations/this');
  assert.ok(base > 32_768 && newest > 0 && newest < 2500, `${base} ${newest}`);
});

test('where the one that patches are of was torn, what can be read is in force; runDir has a copy of its own', async (t) => {
  const { place, open, documents, patch } = await opened(t);
  await documents.apply(long.replace('c-59: {', 'other: {'), { origin: 'ota' });
  await patch('c-1', 'run', 1);
  await documents.close();
  await truncate(join(place.dir, 'state/generations/0000000001-file.json'), 500);
  const copied = await open();
  assert.equal(copied.store.get().desired.containers.get('c-1')?.run?.id, 1);
  await copied.documents.close();
  await rm(join(place.dir, 'run'), { recursive: true });
  // The file says the same, and is taken in as any edit is.
  const { store, documents: next } = await open('another');
  assert.equal(store.get().desired.containers.get('c-1')?.run?.id, 1);
  assert.equal(store.get().document.status, 'ok');
  assert.equal((await next.history()).at(-1)?.kind, 'file');
});

test('a version that knows no patches is kept off from the first one on', async (t) => {
  const { place, documents, patch } = await opened(t);
  const form = join(place.dir, 'state/.form');
  await assert.rejects(stat(form), { code: 'ENOENT' });
  await patch('c-1', 'run', 1);
  await documents.close();
  const said = JSON.parse(await readFile(form, 'utf8')) as { form: number; needs: number };
  assert.deepEqual([said.form, said.needs], [2, 2]);
  await checkForm(join(place.dir, 'state'));
});
