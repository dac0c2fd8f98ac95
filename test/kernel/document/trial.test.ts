// A document on trial: what is in force, in the file and on the disk, through deaths, boots and disks that take nothing.
import assert from 'node:assert/strict';
import { access, chmod, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { has, head, makePlace, namesIn, until } from './document-fixture.ts';
import { patience } from '../../support/patience.ts';
import type { State } from '../../../state/store.ts';

const options = { timeout: 4 * patience };
const good = `${head}containers: { app: { version: 1.0.0 } }\n`;
const bad = `${head}containers: { app: { version: 2.0.0 } }\n`;
const worse = `${head}containers: { app: { version: 3.0.0 } }\n`;
const trial = { confirm: 'health', soak: 1000, within: 60_000, boots: 1 } as const;
const cause = { reason: 'NotHealthy', message: 'app has ended', entries: ['app'] } as const;
const versionOf = ({ desired }: State) => desired.containers.get('app')?.version;
const stateOf = ({ trial: now }: State) => now?.record.state ?? null;

test('without a trial section nothing is written of one, and the newest is the confirmed one', options, async (t) => {
  const place = await makePlace(t, good);
  const { documents, store } = await place.open();
  await documents.apply(bad, { origin: 'test' });
  assert.equal(store.get().trial, null);
  assert.equal(documents.lastConfirmed(), store.get().generation);
  assert.deepEqual((await readdir(join(place.dir, 'state'))).sort(), ['generations']);
});

test('the first document of all has nothing to go back to: it is confirmed at once', options, async (t) => {
  const place = await makePlace(t, good);
  const { store } = await place.open({ trial });
  assert.deepEqual([versionOf(store.get()), store.get().trial], ['1.0.0', null]);
});

test('a document is staged, comes into force when it is told to, and is confirmed', options, async (t) => {
  const place = await makePlace(t, good);
  const { documents, store } = await place.open({ trial });
  const confirmed = store.get().generation;
  const { generation } = await documents.apply(bad, { origin: 'test' });
  assert.equal(stateOf(store.get()), 'staged');
  assert.equal(versionOf(store.get()), '1.0.0');
  assert.equal(await place.read(), bad);
  assert.equal(documents.lastConfirmed(), confirmed);
  // The same once more is no other one.
  assert.equal((await documents.apply(bad, { origin: 'test' })).generation, generation);
  assert.equal(await documents.activate(['app']), null);
  assert.deepEqual([stateOf(store.get()), versionOf(store.get())], ['active', '2.0.0']);
  assert.deepEqual(store.get().trial?.record.asked, ['app']);
  assert.equal(documents.lastConfirmed(), confirmed);
  await documents.confirm(generation);
  assert.equal(stateOf(store.get()), 'confirmed');
  assert.equal(documents.lastConfirmed(), generation);
  const later = await place.open({ trial, bootId: 'next' });
  assert.deepEqual([versionOf(later.store.get()), later.documents.lastConfirmed()], ['2.0.0', generation]);
});

test(
  'a revert brings back text and file, leaves the refused text beside it, and refuses it from then on',
  options,
  async (t) => {
    const place = await makePlace(t, good);
    const { documents, store } = await place.open({ trial });
    const { generation } = await documents.apply(bad, { origin: 'test' });
    await documents.activate([]);
    await documents.revert(cause, null);
    assert.deepEqual([stateOf(store.get()), versionOf(store.get())], ['reverting', '1.0.0']);
    assert.equal(await place.read(), good);
    assert.equal(await readFile(`${place.path}.reverted-${generation}`, 'utf8'), bad);
    // Judged by what was in force before, it would be over too early.
    await documents.reverted(generation);
    assert.equal(stateOf(store.get()), 'reverting');
    await documents.reverted(store.get().generation);
    assert.equal(stateOf(store.get()), 'reverted');
    assert.equal(store.get().trial?.record.cause?.message, 'app has ended');
    await assert.rejects(documents.apply(bad, { origin: 'test' }), /in quarantine: app has ended/);
    await place.write(bad);
    const refused = await until(store, ({ document }) => document.status === 'invalid');
    assert.match(refused.document.error?.message ?? '', /quarantine/);
    await documents.apply(worse, { origin: 'test' });
    // It is refused over a reboot as well, until a person releases it.
    const later = await place.open({ trial, bootId: 'next' });
    await assert.rejects(later.documents.apply(bad, { origin: 'test' }), /quarantine/);
    assert.deepEqual(await later.documents.release(`generation ${generation}`), [`generation ${generation}`]);
    await later.documents.apply(bad, { origin: 'test' });
    assert.equal(stateOf(later.store.get()), 'staged');
  },
);

test('an edit of the file is on trial as well, and a revert gives the file its text back', options, async (t) => {
  const place = await makePlace(t, good);
  const { documents, store } = await place.open({ trial });
  await place.write(bad);
  await until(store, (state) => stateOf(state) === 'staged');
  await documents.activate([]);
  await documents.revert(cause, null);
  assert.equal(await place.read(), good);
  assert.equal(versionOf(store.get()), '1.0.0');
});

test('boots are counted, each once; after the last that is allowed the confirmed one runs', options, async (t) => {
  const place = await makePlace(t, good);
  const { documents } = await place.open({ trial });
  await documents.apply(bad, { origin: 'test' });
  await documents.activate([]);
  await documents.close();
  const same = await place.open({ trial });
  assert.equal(same.store.get().trial?.record.boots, 0);
  await same.documents.close();
  const second = await place.open({ trial, bootId: 'second' });
  assert.deepEqual([second.store.get().trial?.record.boots, versionOf(second.store.get())], [1, '2.0.0']);
  await second.documents.close();
  const again = await place.open({ trial, bootId: 'second' });
  assert.deepEqual([again.store.get().trial?.record.boots, versionOf(again.store.get())], [1, '2.0.0']);
  await again.documents.close();
  const third = await place.open({ trial, bootId: 'third' });
  assert.deepEqual([stateOf(third.store.get()), versionOf(third.store.get())], ['reverting', '1.0.0']);
  assert.equal(third.store.get().trial?.record.cause?.reason, 'TooManyBoots');
  assert.equal(await place.read(), good);
  await third.documents.close();
  // The mark stays until the way back is done.
  const fourth = await place.open({ trial, bootId: 'fourth' });
  assert.deepEqual([stateOf(fourth.store.get()), versionOf(fourth.store.get())], ['reverting', '1.0.0']);
  assert.equal(fourth.store.get().trial?.record.cause?.reason, 'TooManyBoots');
});

test('what is staged stays so over a reboot, and no boot is counted for it', options, async (t) => {
  const place = await makePlace(t, good);
  const { documents } = await place.open({ trial });
  const { generation } = await documents.apply(bad, { origin: 'test' });
  await documents.close();
  const later = await place.open({ trial, bootId: 'next' });
  assert.deepEqual([stateOf(later.store.get()), versionOf(later.store.get())], ['staged', '1.0.0']);
  assert.equal(later.store.get().trial?.record.generation, generation);
  assert.equal(await later.documents.activate([]), null);
  assert.equal(versionOf(later.store.get()), '2.0.0');
  assert.equal(later.store.get().trial?.record.boots, 0);
});

test('another document during a trial supersedes it, and goes back to the same', options, async (t) => {
  const place = await makePlace(t, good);
  const { documents, store } = await place.open({ trial });
  const confirmed = store.get().generation;
  await documents.apply(bad, { origin: 'test' });
  await documents.activate([]);
  await documents.apply(worse, { origin: 'test' });
  await documents.activate([]);
  assert.deepEqual([versionOf(store.get()), store.get().trial?.record.confirmed], ['3.0.0', confirmed]);
  await documents.revert(cause, null);
  assert.equal(versionOf(store.get()), '1.0.0');
});

test('the confirmed document, applied or rolled back to by a person, ends the trial', options, async (t) => {
  const place = await makePlace(t, good);
  const { documents, store } = await place.open({ trial });
  const confirmed = store.get().generation;
  await documents.apply(bad, { origin: 'test' });
  await documents.activate([]);
  await documents.rollback(confirmed, { origin: 'test' });
  assert.deepEqual([stateOf(store.get()), versionOf(store.get())], ['reverted', '1.0.0']);
  await documents.apply(bad, { origin: 'test' });
  assert.equal(stateOf(store.get()), 'staged');
});

test('no document disarms itself: the confirmed one and the configuration ask for a trial, too', options, async (t) => {
  const armed = `${good}trial: { soak: 5s, boots: 7 }\n`;
  const place = await makePlace(t, armed);
  const { documents, store } = await place.open();
  await documents.apply(bad, { origin: 'test' });
  assert.deepEqual(store.get().trial?.record.terms, { confirm: 'health', soak: 5000, within: 600_000, boots: 7 });
  await documents.activate([]);
  await documents.apply(worse, { origin: 'test' });
  assert.equal(stateOf(store.get()), 'staged');
});

test(
  'patches on trial are laid over the confirmed document where their entry still exists, else named',
  options,
  async (t) => {
    const place = await makePlace(t, good);
    const { documents, store } = await place.open({ trial });
    await documents.apply(`${head}containers: { app: { version: 2.0.0 }, new: { version: 1.0.0 } }\n`, {
      origin: 'test',
    });
    await documents.activate([]);
    for (const key of ['app', 'new']) {
      const { durable } = await documents.patch([{ op: 'add', path: `/containers/${key}/state`, value: 'mounted' }], {
        lifetime: 'document',
        origin: 'console',
      });
      assert.equal(await durable, null);
    }
    assert.equal(stateOf(store.get()), 'active');
    await documents.revert(cause, null);
    const { desired, trial: now } = store.get();
    assert.deepEqual([...desired.containers.keys()], ['app']);
    assert.deepEqual(
      [desired.containers.get('app')?.version, desired.containers.get('app')?.state],
      ['1.0.0', 'mounted'],
    );
    assert.deepEqual(now?.record.dropped, ['/containers/new/state (patch)']);
    assert.match(await place.read(), /version: 1\.0\.0[^]*mounted/);
  },
);

test('a patch while a document is staged lasts until the boot ends, and says so', options, async (t) => {
  const place = await makePlace(t, good);
  const { documents, store } = await place.open({ trial });
  await documents.apply(bad, { origin: 'test' });
  const { durable } = await documents.patch([{ op: 'add', path: '/containers/app/paused', value: true }], {
    lifetime: 'document',
    origin: 'console',
  });
  assert.match((await durable) ?? '', /staged/);
  assert.equal(store.get().desired.containers.get('app')?.paused, true);
  assert.equal(await place.read(), bad);
});

test(
  'a file that cannot be written is no excuse: what is applied is on trial whole, and goes back',
  options,
  async (t) => {
    const place = await makePlace(t, good);
    const { documents, store } = await place.open({ trial, exchange: () => Promise.reject(new Error('EROFS')) });
    const { generation } = await documents.apply(bad, { origin: 'test' });
    assert.equal(await documents.activate([]), null);
    assert.deepEqual([versionOf(store.get()), store.get().document.status], ['2.0.0', 'notWritable']);
    assert.equal(await place.read(), good);
    await documents.close();
    const later = await place.open({ trial, bootId: 'next', exchange: () => Promise.reject(new Error('EROFS')) });
    assert.deepEqual([versionOf(later.store.get()), later.store.get().trial?.record.generation], ['2.0.0', generation]);
    await later.documents.apply(worse, { origin: 'test' });
    await later.documents.activate([]);
    assert.equal(versionOf(later.store.get()), '3.0.0');
    await later.documents.revert(cause, null);
    assert.deepEqual([versionOf(later.store.get()), await place.read()], ['1.0.0', good]);
  },
);

test('what could not be counted over a reboot is not tried, and is when the disk takes it', options, async (t) => {
  const place = await makePlace(t, good);
  const { documents, store } = await place.open({ trial });
  // A directory in the place of its temporary file: nothing can be kept.
  await mkdir(join(place.dir, 'state', 'trial.json.new'));
  await documents.apply(bad, { origin: 'test' });
  assert.match((await documents.activate([])) ?? '', /boots cannot be counted/);
  assert.equal(versionOf(store.get()), '1.0.0');
  // Nothing of it is on the disk: another boot does not take it for a confirmed one.
  const stored = await readdir(join(place.dir, 'state', 'generations'));
  assert.equal(stored.filter((name) => !name.includes('lock')).length, 1);
  await rm(join(place.dir, 'state', 'trial.json.new'), { recursive: true });
  assert.equal(await documents.activate([]), null);
  assert.equal(versionOf(store.get()), '2.0.0');
  await until(store, ({ conditions }) => conditions.size === 0);
});

test('a boot that cannot be counted runs the confirmed one', options, async (t) => {
  const place = await makePlace(t, good);
  const { documents } = await place.open({ trial });
  await documents.apply(bad, { origin: 'test' });
  await documents.activate([]);
  await documents.close();
  await mkdir(join(place.dir, 'state', 'trial.json.new'));
  const later = await place.open({ trial, bootId: 'next' });
  assert.deepEqual([stateOf(later.store.get()), versionOf(later.store.get())], ['reverting', '1.0.0']);
  assert.equal(later.store.get().trial?.record.cause?.reason, 'NotCounted');
});

test('a record that is not understood is a trial that has failed; without a trial it is none', options, async (t) => {
  const place = await makePlace(t, good);
  const { documents } = await place.open({ trial });
  await documents.apply(bad, { origin: 'test' });
  await documents.activate([]);
  await documents.close();
  await writeFile(join(place.dir, 'state', 'trial.json'), '{');
  const later = await place.open({ trial, bootId: 'next' });
  assert.deepEqual([stateOf(later.store.get()), versionOf(later.store.get())], ['reverting', '1.0.0']);
  await later.documents.reverted(later.store.get().generation);
  await later.documents.close();
  await writeFile(join(place.dir, 'state', 'trial.json'), '{');
  const last = await place.open({ trial, bootId: 'last' });
  assert.deepEqual([last.store.get().trial, versionOf(last.store.get())], [null, '1.0.0']);
});

test(
  'five deaths of the reconciler on a document on trial take it back for good, and quarantine it',
  options,
  async (t) => {
    const place = await makePlace(t, good);
    const { documents, store } = await place.open({ trial });
    await documents.apply(bad, { origin: 'test' });
    await documents.activate([]);
    await documents.fallback();
    assert.deepEqual([stateOf(store.get()), versionOf(store.get())], ['reverting', '1.0.0']);
    assert.equal(store.get().trial?.record.cause?.reason, 'ReconcilerDied');
    await assert.rejects(documents.apply(bad, { origin: 'test' }), /quarantine/);
    assert.deepEqual(namesIn((await place.open({ trial, bootId: 'next' })).store.get()), ['app']);
  },
);

test('packages in memory without a source are refused in a trial', options, async (t) => {
  const place = await makePlace(t, good);
  const { documents } = await place.open({ trial });
  const inMemory = `${head}repositories: { m: { type: mem } }\ncontainers: { app: { version: 2.0.0, repository: m } }\n`;
  await assert.rejects(documents.apply(inMemory, { origin: 'test' }), /in memory and has no source/);
});

test('what a revert goes to is not pruned, however many documents supersede each other', options, async (t) => {
  const place = await makePlace(t, good);
  const { documents, store } = await place.open({ trial });
  for (let number = 2; number < 30; number++) {
    await documents.apply(good.replace('1.0.0', `${number}.0.0`), { origin: 'test' });
    await documents.activate([]);
  }
  assert.equal(versionOf(store.get()), '29.0.0');
  await documents.revert(cause, null);
  assert.equal(versionOf(store.get()), '1.0.0');
});

test(
  'the file of a trial that was superseded by an edit nobody has seen stays, and is the next trial',
  options,
  async (t) => {
    const place = await makePlace(t, good);
    const { documents } = await place.open({ trial });
    await documents.apply(bad, { origin: 'test' });
    await documents.activate([]);
    await documents.close();
    await place.write(worse);
    const later = await place.open({ trial, bootId: 'next' });
    await until(later.store, (state) => stateOf(state) === 'staged');
    assert.equal(await later.documents.activate([]), null);
    assert.equal(versionOf(later.store.get()), '3.0.0');
    await later.documents.revert(cause, null);
    assert.deepEqual([versionOf(later.store.get()), await place.read()], ['1.0.0', good]);
  },
);

test('new repositories of what is staged are there, and are mounted by nobody', options, async (t) => {
  const place = await makePlace(t, good);
  const { documents, store } = await place.open({ trial });
  const dir = join(place.dir, 'more');
  await documents.apply(`${bad}repositories: { more: { type: fs, dir: ${dir}, mountOnStart: true } }\n`, {
    origin: 'test',
  });
  assert.equal(store.get().desired.repositories.get('more')?.mountOnStart, false);
  await documents.activate([]);
  assert.equal(store.get().desired.repositories.get('more')?.mountOnStart, true);
});

test(
  'nothing but the record says that a trial is over: a death between its writes goes on or back',
  options,
  async (t) => {
    const place = await makePlace(t, good);
    const { documents } = await place.open({ trial });
    await documents.apply(bad, { origin: 'test' });
    await documents.activate([]);
    const record = join(place.dir, 'state', 'trial.json');
    const active = await readFile(record, 'utf8');
    await documents.revert(cause, null);
    await documents.close();
    // As if the power had failed before the mark of the revert, which came first, was on the disk.
    await writeFile(record, active);
    const later = await place.open({ trial, bootId: 'next' });
    assert.equal(has('app')(later.store.get()), true);
    assert(['1.0.0', '2.0.0'].includes(versionOf(later.store.get()) ?? ''));
    await access(record);
    await chmod(record, 0o600);
  },
);

test(
  'a document of a higher serial number has what it names tried again, and one of a lower has not',
  options,
  async (t) => {
    const place = await makePlace(t, good);
    const { documents, store } = await place.open({ trial });
    const digest = `sha256:${'a'.repeat(64)}`;
    const numbered = (serial: number) =>
      `${head}metadata: { serial: ${serial} }\ncontainers: { app: { version: 2.0.0, digest: '${digest}' } }\n`;
    await documents.apply(numbered(4), { origin: 'test' });
    await documents.activate([]);
    documents.setLock('app', { version: '2.0.0', repository: 'system', digest });
    await documents.revert(cause, null);
    await documents.reverted(store.get().generation);
    assert.deepEqual(
      store.get().quarantine.map(({ kind }) => kind),
      ['document', 'package'],
    );
    await documents.apply(numbered(3), { origin: 'test' });
    assert.equal(store.get().quarantine.length, 2);
    await documents.apply(numbered(5), { origin: 'test' });
    assert.deepEqual(
      store.get().quarantine.map(({ kind }) => kind),
      ['document'],
    );
  },
);
