import assert from 'node:assert/strict';
import { chmod, chown, mkdir, readdir, readFile, rename, stat, symlink, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { exchange } from '../../../native/file.ts';
import { readAttributes, writeAttribute } from '../../../native/xattr.ts';
import { DocumentConflict, DocumentRefused } from '../../../state/document/documents.ts';
import type { State } from '../../../state/store.ts';
import { spendEntries } from '../../../src/runtime/spending.ts';
import { packageOf } from '../../support/views.ts';
import { has, head, makePlace, namesIn, until } from './document-fixture.ts';

const console = { lifetime: 'document', origin: 'console' } as const;
const boot = { lifetime: 'boot', origin: 'console' } as const;
const state = (name: string, value: string) => ({ op: 'add', path: `/containers/${name}/state`, value }) as const;
const readOnly = () => Promise.reject(Object.assign(new Error('EROFS: read-only file system'), { code: 'EROFS' }));

test('a patch is in force at once, then in the file, with everything else as it was', async (t) => {
  const place = await makePlace(t, `# mine\n${head}containers:\n  a: { state: mounted } # keep\n`);
  const { documents, store } = await place.open();
  const { generation, durable } = await documents.patch([state('a', 'running')], console);
  assert.equal(store.get().desired.containers.get('a')?.state, 'running');
  assert.equal(store.get().desired.containers.get('a')?.generation, generation);
  await durable;
  assert.equal(await place.read(), `# mine\n${head}containers:\n  a: { state: running } # keep\n`);
  assert.deepEqual(await readdir(place.dir), ['desired.yaml', 'run', 'state']);
});

test('a patch whose outcome is no valid document is refused and changes nothing', async (t) => {
  const place = await makePlace(t, `${head}containers:\n  a: {}\n`);
  const { documents, store } = await place.open();
  const before = store.get();
  await assert.rejects(documents.patch([state('a:1.0.0', 'running')], console), /only one version of a can run/);
  await assert.rejects(documents.patch([{ op: 'remove', path: '/containers/b' }], console), /there is no "b"/);
  await assert.rejects(
    documents.patch([{ op: 'test', path: '/containers/a', value: 1 }, state('b', 'up')], boot),
    /test failed/,
  );
  assert.equal(store.get(), before);
});

test('patches on no document at all make one', async (t) => {
  const place = await makePlace(t, null);
  const { documents, store } = await place.open();
  assert.deepEqual([store.get().generation, store.get().document.status], [0, 'ok']);
  const { durable } = await documents.patch([state('a:1.0.0', 'installed')], console);
  await durable;
  assert.equal(await place.read(), `${head}containers:\n  "a:1.0.0":\n    state: installed\n`);
});

test('owner, mode and the target of a link are kept when the file is written', async (t) => {
  const place = await makePlace(t, null);
  const target = join(place.dir, 'real.yaml');
  await writeFile(target, `${head}containers: { a: {} }\n`);
  await chown(target, 0, 12);
  await chmod(target, 0o640);
  await symlink('real.yaml', place.path);
  const { documents } = await place.open();
  await (
    await documents.patch([state('a', 'mounted')], console)
  ).durable;
  const { gid, mode } = await stat(target);
  assert.deepEqual([gid, mode & 0o7777], [12, 0o640]);
  assert.equal(await readFile(target, 'utf8'), `${head}containers: { a: { state: mounted } }\n`);
});

test('extended attributes are kept when the file is written', async (t) => {
  const place = await makePlace(t, `${head}containers: { a: {} }\n`);
  writeAttribute(place.path, 'user.origin', Buffer.from('factory'));
  const { documents } = await place.open();
  await (
    await documents.patch([state('a', 'mounted')], console)
  ).durable;
  assert.deepEqual(readAttributes(place.path), new Map([['user.origin', Buffer.from('factory')]]));
});

test('many patches at once reach the file, the last one with all of them', async (t) => {
  const place = await makePlace(
    t,
    `${head}containers:\n${Array.from({ length: 50 }, (_, n) => `  c${n}: {} # ${n}\n`).join('')}`,
  );
  const { documents, store } = await place.open();
  const patches = await Promise.all(
    Array.from({ length: 50 }, (_, n) => documents.patch([state(`c${n}`, 'mounted')], console)),
  );
  await Promise.all(patches.map(({ durable }) => durable));
  assert.equal((await place.read()).match(/state: mounted/g)?.length, 50);
  const { desired } = store.get();
  const again = await place.open();
  assert.deepEqual(again.store.get().desired, desired);
});

test('a patch of a document with 500 containers holds up the loop for less than 2 ms', async (t) => {
  const entry = (n: number): string =>
    `  c${n}:\n    version: ^1.${n}\n    state: mounted # ${n}\n    env: { LEVEL: debug }\n`;
  const text = `${head}containers:\n${Array.from({ length: 500 }, (_, n) => entry(n)).join('')}...\n`;
  const place = await makePlace(t, text);
  const { documents, store } = await place.open();
  // The first one loads the schema.
  await (
    await documents.patch([state('c0', 'installed')], console)
  ).durable;
  const times: number[] = [];
  const durable: Promise<unknown>[] = [];
  for (let n = 0; n < 40; n++) {
    const began = performance.now();
    const made = await documents.patch(
      [state(`c${n}`, 'running'), { op: 'add', path: `/containers/c${n}/run`, value: 1 }],
      console,
    );
    times.push(performance.now() - began);
    durable.push(made.durable);
  }
  await Promise.all(durable);
  // Other processes take their share of the processor: the quicker half says what the patch itself costs.
  const [median = Infinity] = times.toSorted((a, b) => a - b).slice(20);
  assert.ok(median < 2, `${median.toFixed(2)} ms`);
  const wanted = text.replaceAll(/(c[123]?\d:\n.*\n {4}state: )mounted( # \d+\n.*\n)/g, '$1running$2    run: 1\n');
  assert.equal(await place.read(), wanted);
  const { desired } = store.get();
  await documents.close();
  assert.deepEqual((await place.open()).store.get().desired, desired);
});

test('a patch is made again on an edit that came before it', async (t) => {
  const place = await makePlace(t, `${head}containers:\n  a: {}\n`);
  const { documents, store } = await place.open();
  await place.write(`${head}containers:\n  a: {} # edited\n  b: {}\n`);
  await (
    await documents.patch([state('a', 'mounted')], console)
  ).durable;
  assert.equal(await place.read(), `${head}containers:\n  a: # edited\n    state: mounted\n  b: {}\n`);
  assert.deepEqual(namesIn(store.get()), ['a', 'b']);
});

test("an editor's save between reading and writing is not lost", async (t) => {
  const place = await makePlace(t, `${head}containers:\n  a: {}\n`);
  let saves = 2;
  const { documents, store } = await place.open({
    async exchange(from, to) {
      if (saves-- > 0) {
        await writeFile(`${to}.save`, `${head}containers:\n  a: {} # saved ${saves}\n  s${saves}: {}\n`);
        await rename(`${to}.save`, to);
      }
      exchange(from, to);
    },
  });
  await (
    await documents.patch([state('a', 'mounted')], console)
  ).durable;
  assert.equal(await place.read(), `${head}containers:\n  a: # saved 0\n    state: mounted\n  s0: {}\n`);
  assert.deepEqual(namesIn(store.get()), ['a', 's0']);
  assert.equal(store.get().desired.containers.get('a')?.state, 'mounted');
});

test("an editor's broken save between reading and writing is given back, and the patch lasts until the boot ends", async (t) => {
  const place = await makePlace(t, `${head}containers:\n  a: {}\n`);
  let saves = 1;
  const { documents, store } = await place.open({
    async exchange(from, to) {
      if (saves-- > 0) await writeFile(to, 'containers: [');
      exchange(from, to);
    },
  });
  await (
    await documents.patch([state('a', 'mounted')], console)
  ).durable;
  assert.equal(await place.read(), 'containers: [');
  assert.equal(store.get().desired.containers.get('a')?.state, 'mounted');
  assert.equal(store.get().document.status, 'invalid');
  assert.deepEqual(
    store.get().overlay.map(({ pointer }) => pointer),
    ['/containers/a/state'],
  );
});

test('a document that cannot be written stops no command: the overlay has the patch', async (t) => {
  const place = await makePlace(t, `${head}containers:\n  a: {}\n`);
  const { documents, store } = await place.open({ exchange: readOnly });
  await (
    await documents.patch([state('a', 'mounted')], console)
  ).durable;
  const { document, desired, overlay } = store.get();
  assert.deepEqual([document.status, document.error?.message], ['notWritable', 'EROFS: read-only file system']);
  assert.equal(desired.containers.get('a')?.state, 'mounted');
  assert.equal(overlay.length, 1);
  assert.equal(await place.read(), `${head}containers:\n  a: {}\n`);
  assert.deepEqual(await readdir(place.dir), ['desired.yaml', 'run', 'state']);
  assert.deepEqual(await readdir(join(place.dir, 'state', 'generations')), ['0000000001-file.json']);
});

test('a patch of a broken document lasts until the boot ends', async (t) => {
  const place = await makePlace(t, `${head}containers:\n  a: {}\n`);
  const { documents, store } = await place.open();
  await place.write('broken: [');
  await until(store, ({ document }) => document.status === 'invalid');
  await (
    await documents.patch([state('a', 'mounted')], console)
  ).durable;
  assert.equal(await place.read(), 'broken: [');
  assert.equal(store.get().desired.containers.get('a')?.state, 'mounted');
});

test('a patch for the boot is kept over restarts and forgotten by another boot', async (t) => {
  const place = await makePlace(t, `${head}containers:\n  a: {}\n`);
  const { documents } = await place.open();
  const { generation, durable } = await documents.patch([state('a', 'mounted'), state('b:1.0.0', 'installed')], boot);
  await durable;
  assert.equal(await place.read(), `${head}containers:\n  a: {}\n`);
  const again = await place.open();
  assert.equal(again.store.get().generation, generation);
  assert.deepEqual(namesIn(again.store.get()), ['a', 'b:1.0.0']);
  const other = await place.open({ bootId: 'other' });
  assert.deepEqual([namesIn(other.store.get()), other.store.get().generation], [['a'], 1]);
  assert.equal(other.store.get().desired.containers.get('a')?.state, 'running');
});

test('what only the overlay has is taken away again, also where the document cannot be written', async (t) => {
  const place = await makePlace(t, `${head}containers:\n  a: {}\n`);
  const { documents, store } = await place.open({ exchange: readOnly });
  for (const lifetime of ['document', 'boot'] as const) {
    for (const operation of [state('x:1.0.0', 'absent'), { op: 'remove', path: '/containers/x:1.0.0' } as const]) {
      await (
        await documents.patch([operation], { ...console, lifetime })
      ).durable;
    }
    assert.deepEqual([namesIn(store.get()), store.get().overlay], [['a'], []]);
  }
});

test('what an uninstallation has made absent goes when it is deleted, whoever wrote the entry, and a person stays', async (t) => {
  const entries = '  a: { state: absent }\n  p: { version: ^1 } # a person\n  q: {}\n';
  const place = await makePlace(t, `${head}containers:\n${entries}`);
  const first = await place.open({ exchange: readOnly });
  const uninstall = async (key: string, lifetime: 'document' | 'boot') =>
    (await first.documents.patch([state(key, 'absent')], { ...console, lifetime, command: `uninstall ${key}` }))
      .durable;
  await uninstall('x:1.0.0', 'boot');
  await uninstall('x:2.0.0', 'document');
  await uninstall('p', 'document');
  // What a person patches is a person's.
  await (
    await first.documents.patch([state('q', 'absent')], console)
  ).durable;
  first.documents.setLock('p', { version: '1.2.0', repository: 'system', digest: null });
  await first.documents.close();
  const { documents, store } = await place.open();
  const left = packageOf('1.0.0', { id: 'x:1.0.0', name: 'x' });
  store.observe('packages', 'x', [left]);
  const asked = packageOf('1.2.0', { id: 'p:1.2.0', name: 'p' });
  const other = packageOf('1.1.0', { id: 'p:1.1.0', name: 'p' });
  store.observe('packages', 'p', [asked, other]);
  const spending = spendEntries({ store, documents, failed: (error) => assert.fail(String(error)) });
  await until(store, ({ desired }) => !desired.containers.has('x:2.0.0'));
  assert.deepEqual(namesIn(store.get()), ['a', 'p', 'q', 'x:1.0.0']);
  store.observe('packages', 'x', undefined);
  store.observe('packages', 'p', [other]);
  await until(store, ({ desired }) => !desired.containers.has('x:1.0.0') && !desired.containers.has('p'));
  await spending.settled();
  assert.deepEqual(namesIn(store.get()), ['a', 'q']);
  spending.close();
});

test('an overlay whose file was deleted is written again', async (t) => {
  const place = await makePlace(t, `${head}containers:\n  a: {}\n`);
  const { documents } = await place.open();
  await (
    await documents.patch([state('a', 'mounted')], boot)
  ).durable;
  await unlink(join(place.dir, 'run/overlay.json'));
  await documents.restore();
  const { store } = await place.open();
  assert.equal(store.get().desired.containers.get('a')?.state, 'mounted');
});

test('a later generation of the document that sets the same field wins over the overlay', async (t) => {
  const place = await makePlace(t, `${head}containers:\n  a: { state: running }\n  b: { state: running }\n`);
  const { documents, store } = await place.open();
  await (
    await documents.patch([state('a', 'mounted'), state('b', 'mounted')], boot)
  ).durable;
  await place.write(`${head}containers:\n  a: { state: installed }\n  b: { state: running } # as before\n`);
  const after = await until(store, ({ desired }) => desired.containers.get('a')?.state === 'installed');
  assert.equal(after.desired.containers.get('b')?.state, 'mounted');
  await (
    await documents.patch([state('b', 'running')], console)
  ).durable;
  assert.deepEqual([store.get().desired.containers.get('b')?.state, store.get().overlay], ['running', []]);
});

test('a field below one that only the overlay has takes it along into the document', async (t) => {
  const place = await makePlace(t, `${head}containers: {}\n`);
  const { documents, store } = await place.open();
  const entry = { state: 'installed', repository: 'system' };
  await (
    await documents.patch([{ op: 'add', path: '/containers/a:1.0.0', value: entry }], boot)
  ).durable;
  await (
    await documents.patch([state('a:1.0.0', 'mounted')], console)
  ).durable;
  assert.equal(await place.read(), `${head}containers:\n  "a:1.0.0": { state: mounted, repository: system }\n`);
  assert.deepEqual(store.get().overlay, []);
});

test('apply puts a whole document into force and into the file, or refuses it', async (t) => {
  const place = await makePlace(t, `${head}containers:\n  a: {}\n...\n`);
  const { documents, store } = await place.open();
  const next = `${head}containers:\n  b: {}\n`;
  assert.deepEqual(await documents.apply(next, { dryRun: true, origin: 'ota' }), { generation: 1 });
  assert.deepEqual(namesIn(store.get()), ['a']);
  await assert.rejects(documents.apply('a: [', { origin: 'ota' }), DocumentRefused);
  await assert.rejects(documents.apply(next, { expected: 7, origin: 'ota' }), DocumentConflict);
  assert.deepEqual(await documents.apply(next, { expected: 1, origin: 'ota' }), { generation: 2 });
  assert.deepEqual([namesIn(store.get()), await place.read()], [['b'], next]);
  assert.deepEqual(await documents.apply(next, { origin: 'ota' }), { generation: 2 });
});

test('apply mends a broken or missing file', async (t) => {
  const place = await makePlace(t, `${head}containers:\n  a: {}\n`);
  const { documents, store } = await place.open();
  const next = (name: string): string => `${head}containers:\n  ${name}: {}\n`;
  await place.write('a: [');
  await documents.apply(next('b'), { origin: 'ota' });
  assert.deepEqual([store.get().document.status, await place.read()], ['ok', next('b')]);
  await unlink(place.path);
  await documents.apply(next('c'), { origin: 'ota' });
  assert.deepEqual([store.get().document.status, await place.read()], ['ok', next('c')]);
});

test('what is applied to a document that cannot be written is in force as a whole, in the history, and after another boot', async (t) => {
  const text = (version: string, env = '{}') => `${head}containers:\n  a: { version: ${version}, env: ${env} }\n`;
  const entry = ({ desired }: State) => {
    const { version, env } = desired.containers.get('a') ?? {};
    return [version, Object.fromEntries(env ?? [])];
  };
  const place = await makePlace(t, text('1.1.0'));
  const { documents, store } = await place.open({ exchange: readOnly });
  assert.deepEqual(await documents.apply(text('1.0.0', '{ A: x }'), { origin: 'ota' }), { generation: 2 });
  assert.deepEqual(entry(store.get()), ['1.0.0', { A: 'x' }]);
  const { document } = store.get();
  assert.deepEqual([document.status, document.generation], ['notWritable', 2]);
  assert.match(
    document.error?.message ?? '',
    /EROFS.*generation 2 is kept in stateDir, and the next edit of the file wins/,
  );
  // Once more is nothing new.
  assert.deepEqual(await documents.apply(text('1.0.0', '{ A: x }'), { origin: 'ota' }), { generation: 2 });
  assert.deepEqual(await documents.apply(text('1.1.0', '{ B: y }'), { origin: 'ota' }), { generation: 3 });
  assert.deepEqual(entry(store.get()), ['1.1.0', { B: 'y' }]);
  assert.deepEqual(await documents.rollback(2, { origin: 'cli' }), { generation: 4 });
  assert.deepEqual(entry(store.get()), ['1.0.0', { A: 'x' }]);
  assert.deepEqual(
    (await documents.history()).map(({ generation, kind, origin }) => [generation, kind, origin]),
    [
      [1, 'file', 'file'],
      [2, 'apply', 'ota'],
      [3, 'apply', 'ota'],
      [4, 'apply', 'cli'],
    ],
  );
  const again = await place.open({ exchange: readOnly, bootId: 'other' });
  assert.deepEqual(entry(again.store.get()), ['1.0.0', { A: 'x' }]);
  assert.deepEqual([again.store.get().document.status, again.store.get().generation], ['notWritable', 4]);
  // The file's own text is in the file.
  await again.documents.apply(text('1.1.0'), { origin: 'ota' });
  assert.deepEqual([entry(again.store.get()), again.store.get().document.status], [['1.1.0', {}], 'ok']);
});

test('the next edit of a file that could not be written wins over what was applied', async (t) => {
  const place = await makePlace(t, `${head}containers:\n  a: {}\n`);
  const first = await place.open({ exchange: readOnly });
  await first.documents.apply(`${head}containers:\n  b: {}\n`, { origin: 'ota' });
  await place.write(`${head}containers:\n  c: {}\n`);
  const state = await until(first.store, has('c'));
  assert.deepEqual([namesIn(state), state.document.status], [['c'], 'ok']);
  await first.documents.apply(`${head}containers:\n  d: {}\n`, { origin: 'ota' });
  await first.documents.close();
  await place.write(`${head}containers:\n  e: {}\n`);
  const { store } = await place.open();
  assert.deepEqual(namesIn(store.get()), ['e']);
});

test('a patch that can be written takes what was applied into the file', async (t) => {
  const place = await makePlace(t, `${head}containers:\n  a: {}\n`);
  let exchanging: (from: string, to: string) => Promise<void> | void = readOnly;
  const { documents, store } = await place.open({ exchange: (from, to) => exchanging(from, to) });
  await documents.apply(`${head}containers:\n  b: {}\n`, { origin: 'ota' });
  exchanging = exchange;
  await (
    await documents.patch([state('b', 'mounted')], console)
  ).durable;
  assert.equal(await place.read(), `${head}containers:\n  b:\n    state: mounted\n`);
  assert.equal(store.get().document.status, 'ok');
});

test('an apply wins over the boot in every entry that it states, and over no other', async (t) => {
  const text = `${head}containers:\n  a: { state: running }\n`;
  const place = await makePlace(t, text);
  const { documents, store } = await place.open();
  const stop = { ...boot, command: 'stop a' };
  await (
    await documents.patch([state('a', 'mounted'), state('b:1.0.0', 'installed')], stop)
  ).durable;
  assert.deepEqual(
    store.get().overlay.map(({ pointer, command }) => [pointer, command]),
    [
      ['/containers/a/state', 'stop a'],
      ['/containers/b:1.0.0', 'stop a'],
    ],
  );
  const { generation } = await documents.apply(text, { origin: 'ota' });
  assert.equal(generation, 3);
  assert.equal(store.get().desired.containers.get('a')?.state, 'running');
  assert.deepEqual(
    store.get().overlay.map(({ pointer }) => pointer),
    ['/containers/b:1.0.0'],
  );
  const again = await place.open();
  assert.equal(again.store.get().desired.containers.get('a')?.state, 'running');
});

test('an edit of the file wins over the boot in every entry that it changes', async (t) => {
  const place = await makePlace(t, `${head}containers:\n  a: {}\n  b: {}\n`);
  const { documents, store } = await place.open();
  await (
    await documents.patch([state('a', 'mounted'), state('b', 'mounted')], boot)
  ).durable;
  await place.write(`${head}containers:\n  a: { env: { A: x } }\n  b: {}\n`);
  const after = await until(store, ({ desired }) => desired.containers.get('a')?.env.size === 1);
  assert.equal(after.desired.containers.get('a')?.state, 'running');
  assert.equal(after.desired.containers.get('b')?.state, 'mounted');
});

test('what holds until the boot ends is dropped, of one name or altogether', async (t) => {
  const place = await makePlace(t, `${head}containers:\n  a: {}\n  b: {}\n`);
  const { documents, store } = await place.open();
  await (
    await documents.patch([state('a', 'mounted'), state('b', 'mounted')], boot)
  ).durable;
  const one = await documents.dropOverlay('a');
  assert.deepEqual([one.generation, one.dropped.map(({ pointer }) => pointer)], [3, ['/containers/a/state']]);
  assert.equal(store.get().desired.containers.get('a')?.state, 'running');
  assert.equal((await documents.dropOverlay(null)).generation, 4);
  assert.deepEqual(await documents.dropOverlay(null), { generation: 4, dropped: [], notDurable: null });
  const again = await place.open();
  assert.deepEqual(again.store.get().overlay, []);
});

test('the seed becomes the document where there never was one, and never again', async (t) => {
  const place = await makePlace(t, null);
  const seed = join(place.dir, 'seed.yaml');
  await writeFile(seed, `${head}containers:\n  seeded: {}\n`);
  const { store, documents } = await place.open({ seed });
  assert.ok(has('seeded')(store.get()));
  assert.equal(await place.read(), await readFile(seed, 'utf8'));
  await documents.close();
  await unlink(place.path);
  const again = await place.open({ seed });
  assert.match(again.store.get().document.error?.message ?? '', /missing/);
  assert.ok(has('seeded')(again.store.get()));
});

test('an empty file is an empty document only as long as there never was a generation', async (t) => {
  const place = await makePlace(t, '\n');
  const { store } = await place.open();
  assert.equal(store.get().document.status, 'ok');
  await place.write(`${head}containers:\n  a: {}\n`);
  await until(store, has('a'));
  await place.write('');
  const empty = await until(store, ({ document }) => document.status === 'invalid');
  assert.deepEqual(namesIn(empty), ['a']);
});

test('a directory for the state that cannot be made ends the opening with its name', async (t) => {
  const place = await makePlace(t, null);
  await writeFile(join(place.dir, 'state'), '');
  await assert.rejects(place.open(), new RegExp(`${place.dir}/state`));
  await mkdir(join(place.dir, 'other'));
});
