import assert from 'node:assert/strict';
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { inject } from '../../support/inject.ts';
import { has, head, makePlace, namesIn, until } from './document-fixture.ts';

const console = { lifetime: 'document', origin: 'console' } as const;
const containers = (...names: string[]): string =>
  `${head}containers:\n${names.map((name) => `  ${name}: {}\n`).join('')}`;

test('the last 20 generations of file and apply are kept and, apart from them, the last 20 of the console', async (t) => {
  const place = await makePlace(t, containers('a'));
  let time = 0;
  const { documents } = await place.open({ now: () => (time += 2000) });
  for (let n = 0; n < 25; n++) {
    await documents.apply(containers(`a${n}`), { origin: 'ota' });
    await (
      await documents.patch([{ op: 'add', path: `/containers/a${n}/run`, value: n }], console)
    ).durable;
  }
  await documents.close();
  const history = await documents.history();
  for (const kind of ['apply', 'console']) {
    const numbers = history.filter((one) => one.kind === kind).map(({ generation }) => generation);
    assert.deepEqual([numbers.length, numbers.at(-1)], [20, kind === 'apply' ? 50 : 51]);
  }
});

test("the console's patches within a second are one generation of the history", async (t) => {
  const place = await makePlace(t, containers('a'));
  let time = 0;
  const { documents } = await place.open({ now: () => (time += 300) });
  for (let n = 0; n < 5; n++)
    await (
      await documents.patch([{ op: 'add', path: '/containers/a/run', value: n }], console)
    ).durable;
  await documents.close();
  const history = await documents.history();
  assert.deepEqual(
    history.map(({ generation, kind }) => [generation, kind]),
    [
      [1, 'file'],
      [5, 'console'],
      [6, 'console'],
    ],
  );
});

test('a start takes the generation in force without reading YAML', async (t) => {
  const place = await makePlace(
    t,
    `${head}containers:\n  a: { env: { __proto__: x }, dependsOn: { b: running }, run: { id: 1, env: { X: y } } }\n  b: {}\n`,
  );
  const first = await place.open();
  const { desired } = first.store.get();
  await first.documents.close();
  const stored = join(place.dir, 'state', 'generations', '0000000001-file.json');
  const changed = (await readFile(stored, 'utf8')).replaceAll('"X":"y"', '"X":"from the stored generation"');
  await writeFile(stored, changed);
  const { store } = await place.open();
  const run = store.get().desired.containers.get('a')?.run;
  assert.equal(run?.env?.get('X'), 'from the stored generation');
  assert.deepEqual(store.get().desired.containers.get('a')?.env, desired.containers.get('a')?.env);
  assert.deepEqual(store.get().desired.containers.get('b'), desired.containers.get('b'));
});

test('an edit while the runtime was down is a new generation at the next start', async (t) => {
  const place = await makePlace(t, containers('a'));
  const first = await place.open();
  await first.documents.close();
  await place.write(containers('a', 'b'));
  const { store } = await place.open();
  assert.deepEqual([store.get().generation, namesIn(store.get())], [2, ['a', 'b']]);
  const { containers: entries } = store.get().desired;
  assert.deepEqual([entries.get('a')?.generation, entries.get('b')?.generation], [1, 2]);
});

test('at a start with a broken document the last generation is in force', async (t) => {
  const place = await makePlace(t, containers('a'));
  const first = await place.open();
  await first.documents.close();
  await place.write('a: [');
  const { store } = await place.open();
  assert.deepEqual([namesIn(store.get()), store.get().document.status], [['a'], 'invalid']);
});

test('a stored generation that was torn is passed over for the one before', async (t) => {
  const place = await makePlace(t, containers('a'));
  const first = await place.open();
  await first.documents.apply(containers('b'), { origin: 'ota' });
  await first.documents.close();
  const newest = join(place.dir, 'state', 'generations', '0000000002-apply.json');
  await writeFile(newest, (await readFile(newest, 'utf8')).slice(0, 200));
  await place.write('a: [');
  // As long as the boot lasts there is a copy.
  const copied = await place.open();
  assert.deepEqual([namesIn(copied.store.get()), copied.store.get().generation], [['b'], 2]);
  await copied.documents.close();
  const { store } = await place.open({ bootId: 'other' });
  assert.deepEqual([namesIn(store.get()), store.get().generation], [['a'], 1]);
});

test('a runtime that does not understand the newest generation runs the newest that it understands', async (t) => {
  const place = await makePlace(t, containers('a'));
  const first = await place.open();
  await first.documents.apply(containers('b'), { origin: 'ota' });
  await first.documents.close();
  const newest = join(place.dir, 'state', 'generations', '0000000002-apply.json');
  const future = `${head}containers:\n  b: { sometime: later }\n`;
  const { createHash } = await import('node:crypto');
  const record = JSON.parse(await readFile(newest, 'utf8')) as Record<string, unknown>;
  const hash = createHash('sha256').update(future).digest('hex');
  await writeFile(newest, JSON.stringify({ ...record, text: future, hash, runtime: '9.0.0' }));
  await place.write(future);
  const { store } = await place.open();
  assert.deepEqual([namesIn(store.get()), store.get().generation], [['a'], 1]);
  assert.match(store.get().document.error?.message ?? '', /sometime|not understood/);
});

test('a generation that is given up leaves the one before in force until the boot ends or the document changes', async (t) => {
  const place = await makePlace(t, containers('good'));
  const { documents, store } = await place.open();
  await place.write(containers('bad'));
  await until(store, has('bad'));
  await documents.fallback();
  assert.deepEqual([namesIn(store.get()), store.get().generation], [['good'], 1]);
  assert.match(store.get().document.error?.message ?? '', /generation 2 ended the runtime/);
  const again = await place.open();
  assert.deepEqual([namesIn(again.store.get()), again.store.get().generation], [['good'], 1]);
  await documents.close();
  await place.write(containers('better'));
  assert.equal((await until(again.store, has('better'))).generation, 3);
  await place.write(containers('bad'));
  await until(again.store, has('bad'));
  const next = await place.open({ bootId: 'other' });
  assert.deepEqual(namesIn(next.store.get()), ['bad']);
});

test('what a console has said stays when the document is given up, in the overlay and in the file', async (t) => {
  const place = await makePlace(t, containers('a', 'idle'));
  const { documents, store } = await place.open();
  await documents.apply(containers('a', 'idle', 'bad'), { origin: 'ota' });
  const stop = [{ op: 'add', path: '/containers/idle/state', value: 'mounted' }] as const;
  await (
    await documents.patch(stop, console)
  ).durable;
  const pause = [{ op: 'add', path: '/containers/a/paused', value: true }] as const;
  await (
    await documents.patch(pause, { ...console, lifetime: 'boot' })
  ).durable;
  await documents.fallback();
  const holds = ({ desired }: ReturnType<typeof store.get>): unknown[] => [
    [...desired.containers.keys()],
    desired.containers.get('idle')?.state,
    desired.containers.get('a')?.paused,
  ];
  assert.deepEqual(holds(store.get()), [['a', 'idle'], 'mounted', true]);
  const again = await place.open();
  assert.deepEqual(holds(again.store.get()), [['a', 'idle'], 'mounted', true]);
});

test('without an earlier document none is given up', async (t) => {
  const place = await makePlace(t, containers('a'));
  const { documents, store } = await place.open();
  const stop = [{ op: 'add', path: '/containers/a/state', value: 'mounted' }] as const;
  await (
    await documents.patch(stop, console)
  ).durable;
  await documents.fallback();
  assert.deepEqual([namesIn(store.get()), store.get().desired.containers.get('a')?.state], [['a'], 'mounted']);
});

test('what stateDir does not take is in force, is told, keeps its number, and is stored when it does', async (t) => {
  const place = await makePlace(t, containers('a'));
  const directory = join(place.dir, 'state', 'generations');
  const first = await place.open();
  const paths = [2, 3].map((number) => join(directory, `000000000${number}-apply.json.new`));
  {
    await using _fault = await inject(process.pid, { calls: 'openat', error: 'ENOSPC', paths });
    await first.documents.apply(containers('a', 'b'), { origin: 'ota' });
    await first.documents.apply(containers('a', 'b', 'c'), { origin: 'ota' });
    const [condition] = [...first.store.get().conditions.values()];
    assert.match(condition?.message ?? '', /ENOSPC.* generation 2, 3 is kept until the boot ends/);
    // As after a death of the launcher within the boot.
    const second = await place.open();
    assert.deepEqual([namesIn(second.store.get()), second.store.get().generation], [['a', 'b', 'c'], 3]);
    await second.documents.apply(containers('a'), { origin: 'ota' });
    assert.equal(second.store.get().generation, 4);
    await second.documents.close();
  }
  await until(first.store, ({ conditions }) => conditions.size === 0);
  const numbers = (await first.documents.history()).map(({ generation }) => generation);
  assert.deepEqual(numbers.slice(0, 3), [1, 2, 3]);
  await first.documents.close();
});

test('generations that cannot be read leave what is in force as it is', async (t) => {
  const place = await makePlace(t, containers('a'));
  const directory = join(place.dir, 'state', 'generations');
  const first = await place.open();
  await first.documents.apply(containers('a', 'b'), { origin: 'ota' });
  await first.documents.close();
  const listed = { calls: 'getdents64', error: 'EIO', paths: [directory] };
  const file = { calls: 'openat', error: 'EIO', paths: [join(directory, '0000000002-apply.json')] };
  for (const fault of [listed, file]) {
    await using _fault = await inject(process.pid, fault);
    const { documents, store } = await place.open();
    assert.deepEqual([namesIn(store.get()), store.get().generation, store.get().unknown], [['a', 'b'], 2, null]);
    assert.match([...store.get().conditions.values()][0]?.message ?? '', /EIO/);
    await documents.close();
  }
});

test('where neither generations nor document can be read nothing is decided until they can', async (t) => {
  const place = await makePlace(t, containers('a'));
  const directory = join(place.dir, 'state', 'generations');
  const first = await place.open();
  await first.documents.close();
  await rm(join(place.dir, 'run'), { recursive: true });
  const { store } = await (async () => {
    const paths = [directory, place.path];
    await using _fault = await inject(process.pid, { calls: 'getdents64,statx', error: 'EIO', paths });
    const opened = await place.open();
    assert.match(opened.store.get().unknown ?? '', /EIO/);
    return opened;
  })();
  const known = await until(store, ({ unknown }) => unknown === null);
  assert.deepEqual([namesIn(known), known.generation], [['a'], 1]);
});

test('a document that cannot be written is said to be so by the next reconciler, too', async (t) => {
  const place = await makePlace(t, containers('a'));
  const exchange = (): Promise<never> =>
    Promise.reject(Object.assign(new Error('EROFS: read-only'), { code: 'EROFS' }));
  const first = await place.open({ exchange });
  await (
    await first.documents.patch([{ op: 'add', path: '/containers/a/run', value: 1 }], console)
  ).durable;
  const second = await place.open();
  assert.equal(second.store.get().document.status, 'notWritable');
  assert.match(second.store.get().document.error?.message ?? '', /EROFS/);
  await place.write(containers('a', 'b'));
  await until(second.store, has('b'));
  for (const { documents } of [first, second]) await documents.close();
  const third = await place.open();
  assert.equal(third.store.get().document.status, 'ok');
});

test('what a requirement was resolved to is kept over a restart, until its entry asks for another package', async (t) => {
  const place = await makePlace(t, containers('a', 'b'));
  const first = await place.open();
  const resolved = { version: '1.2.3', repository: 'system', digest: null };
  for (const key of ['a', 'b']) first.documents.setLock(key, resolved);
  await first.documents.close();
  const { documents, store } = await place.open();
  assert.deepEqual(
    store.get().lock,
    new Map([
      ['a', resolved],
      ['b', resolved],
    ]),
  );
  await (
    await documents.patch([{ op: 'add', path: '/containers/a/run', value: 1 }], console)
  ).durable;
  assert.deepEqual(store.get().lock.get('a'), resolved);
  await (
    await documents.patch([{ op: 'add', path: '/containers/a/version', value: '^1' }], console)
  ).durable;
  assert.deepEqual([...store.get().lock.keys()], ['b']);
});

test('a rollback brings back the text and the versions of a generation as a new one', async (t) => {
  const place = await makePlace(t, containers('a'));
  const { documents, store } = await place.open();
  documents.setLock('a', { version: '1.0.0', repository: 'system', digest: null });
  await documents.apply(containers('b'), { origin: 'ota' });
  assert.deepEqual(await documents.rollback(1, { origin: 'cli' }), { generation: 3 });
  assert.deepEqual([namesIn(store.get()), store.get().lock.get('a')?.version], [['a'], '1.0.0']);
  assert.equal(await place.read(), containers('a'));
  await assert.rejects(documents.rollback(99, { origin: 'cli' }), /99 is not stored/);
});

const locked = (version: string) => ({ version, repository: 'system', digest: null });

test('another version for an entry is a generation, and a rollback brings back the one before', async (t) => {
  const place = await makePlace(t, containers('a'));
  const { documents, store } = await place.open();
  documents.setLock('a', locked('1.0.0'));
  // As the reconciler does: it resolves what has no lock any more.
  const end = store.subscribe((_, { lock }) => {
    if (!lock.has('a')) documents.setLock('a', locked('1.1.0'));
  });
  const { generation, durable } = documents.renewLocks(['a'], { lifetime: 'document', origin: 'cli' });
  await durable;
  assert.deepEqual([generation, store.get().generation, store.get().lock.get('a')?.version], [2, 2, '1.1.0']);
  // Nothing higher: nothing new.
  const again = documents.renewLocks(['a'], { lifetime: 'document', origin: 'cli' });
  assert.deepEqual(again.generation, 2);
  end();
  assert.deepEqual(await documents.rollback(1, { origin: 'cli' }), { generation: 3 });
  assert.equal(store.get().lock.get('a')?.version, '1.0.0');
  assert.deepEqual(await documents.rollback(2, { origin: 'cli' }), { generation: 4 });
  assert.equal(store.get().lock.get('a')?.version, '1.1.0');
  assert.deepEqual(
    (await documents.history()).map(({ generation: number, kind, origin }) => [number, kind, origin]),
    [
      [1, 'file', 'file'],
      [2, 'console', 'cli'],
      [3, 'apply', 'cli'],
      [4, 'apply', 'cli'],
    ],
  );
});

test('a version that is taken by itself is a generation', async (t) => {
  const place = await makePlace(t, containers('a'));
  const { documents, store } = await place.open();
  documents.setLock('a', locked('1.0.0'));
  documents.setLock('a', locked('1.1.0'));
  assert.equal(store.get().generation, 2);
  await documents.close();
  assert.equal((await documents.history()).at(-1)?.origin, 'reconciler');
  const next = await place.open();
  assert.deepEqual([next.store.get().generation, next.store.get().lock.get('a')], [2, locked('1.1.0')]);
  await next.documents.rollback(1, { origin: 'cli' });
  assert.equal(next.store.get().lock.get('a')?.version, '1.0.0');
});

test('what a patch is resolved to before it is stored does not get into the generation before it', async (t) => {
  const place = await makePlace(t, containers('a'));
  const { documents, store } = await place.open();
  documents.setLock('a', locked('1.0.0'));
  const { durable } = await documents.patch([{ op: 'add', path: '/containers/a/version', value: '^2' }], console);
  documents.setLock('a', locked('2.0.0'));
  await durable;
  await documents.rollback(1, { origin: 'cli' });
  assert.equal(store.get().lock.get('a')?.version, '1.0.0');
  await documents.rollback(2, { origin: 'cli' });
  assert.equal(store.get().lock.get('a')?.version, '2.0.0');
});

test('another version for the boot is kept over restarts, and forgotten by another boot', async (t) => {
  const place = await makePlace(t, containers('a'));
  const first = await place.open();
  first.documents.setLock('a', locked('1.0.0'));
  first.store.subscribe((_, { lock }) => {
    if (!lock.has('a')) first.documents.setLock('a', locked('1.1.0'));
  });
  await first.documents.renewLocks(['a'], { lifetime: 'boot', origin: 'cli' }).durable;
  await first.documents.close();
  const again = await place.open();
  assert.equal(again.store.get().lock.get('a')?.version, '1.1.0');
  const other = await place.open({ bootId: 'other' });
  assert.equal(other.store.get().lock.get('a')?.version, '1.0.0');
});

test('nothing is written while nothing changes', async (t) => {
  const place = await makePlace(t, containers('a'));
  const first = await place.open();
  await first.documents.close();
  const directory = join(place.dir, 'state', 'generations');
  const times = async () =>
    Promise.all(
      [directory, place.path, ...(await readdir(directory)).map((name) => join(directory, name))].map(
        async (path) => (await stat(path)).mtimeMs,
      ),
    );
  const before = await times();
  const { documents } = await place.open();
  await documents.close();
  assert.deepEqual(await times(), before);
});
