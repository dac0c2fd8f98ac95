// The state that each released version leaves (test/fixtures/state-VERSION, keep-state.ts), read by this one; and what this one does
// with a later version's.
import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import {
  cpSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { decodeRecord, encodeRecord } from '../../../controllers/containers/attempt-record.ts';
import { openNotes } from '../../../controllers/containers/run-notes.ts';
import { openPlaces } from '../../../controllers/cgroups/cgroup-places.ts';
import { openPackageCache } from '../../../controllers/repositories/package-cache.ts';
import { createMemoryFile } from '../../../native/memfd.ts';
import { parseConfiguration } from '../../../src/config/read-configuration.ts';
import { openKeptFile } from '../../../src/console/server/kept-file.ts';
import { decodeGlobal } from '../../../src/daemon/global-record.ts';
import { openScheduleRecords } from '../../../src/daemon/schedule-records.ts';
import { openKeptValue } from '../../../src/daemon/kept-value.ts';
import { checkForm } from '../../../src/daemon/state-form.ts';
import { openJournal } from '../../../src/runtime/journal.ts';
import { openFloor } from '../../../state/document/serial-floor.ts';
import type { AttemptRecord } from '../../../state/observed.ts';
import { makePlace, namesIn } from './document-fixture.ts';

const fixtures = join(import.meta.dirname, '../../fixtures');
const versions = globSync('state-*', { cwd: fixtures });

/** A file in memory as the version has left it with its launcher. */
function memory(version: string, name: string): number {
  const text = readFileSync(join(fixtures, version, 'kept', `${name}.json`), 'utf8');
  const fd = createMemoryFile(name);
  for (const [begin, bytes] of JSON.parse(text) as [number, string][]) {
    const data = Buffer.from(bytes, 'base64');
    if (data.length > 0) writeSync(fd, data, 0, data.length, begin);
  }
  return fd;
}

const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined };

for (const version of versions) {
  const at = join(fixtures, version);

  test(`${version}: the document, its generations and what consoles have said are in force`, async (t) => {
    const place = await makePlace(t, null);
    for (const [from, to] of [
      ['state', 'state'],
      ['run', 'run'],
      ['desired.yaml', 'desired.yaml'],
    ] as const)
      cpSync(join(at, from), join(place.dir, to), { recursive: true });
    const { bootId } = JSON.parse(readFileSync(join(at, 'run/overlay.json'), 'utf8')) as { bootId: string };
    await checkForm(join(place.dir, 'state'));
    const { documents, store } = await place.open({ bootId, runtime: '99.0.0' });
    const state = store.get();
    assert.deepEqual([state.document.status, state.document.generation], ['ok', 4]);
    assert.deepEqual(namesIn(state), ['app', 'other']);
    assert.deepEqual(
      state.overlay.map(({ pointer }) => pointer),
      ['/containers/other/env'],
    );
    assert.deepEqual(state.lock.get('app')?.version, '1.0.0');
    assert.equal(state.desired.containers.get('app')?.state, 'running');
    assert.deepEqual(
      (await documents.history()).map(({ generation, kind }) => [generation, kind]),
      [
        [1, 'file'],
        [4, 'console'],
      ],
    );
  });

  test(`${version}: what runs is known, and what was kept is understood`, async () => {
    const run = mkdtempSync(join(tmpdir(), 'northstate-versions-'));
    try {
      cpSync(join(at, 'run'), run, { recursive: true });
      assert.deepEqual([...openPlaces(join(run, 'cgroups.json')).all()], [['app', 'below']]);
      const boot = readFileSync(join(at, 'run/boot'), 'utf8');
      const wrong: string[] = [];
      const notes = openNotes(run, boot, 0, (path) => wrong.push(path));
      assert.deepEqual([[...notes.ran.keys()].toSorted(), wrong], [['app', 'other'], []]);
      openPackageCache(join(run, 'packages.json'), quiet);
    } finally {
      rmSync(run, { recursive: true });
    }

    const { attempts } = JSON.parse(readFileSync(join(at, 'observed.json'), 'utf8')) as {
      attempts: Record<string, { record: AttemptRecord }[]>;
    };
    for (const { record } of Object.values(attempts).flat()) {
      const { version: of, entry, made, onStop } = decodeRecord(Buffer.from(JSON.stringify(record)));
      assert.deepEqual([of, entry, made, onStop], [record.version, record.entry, record.made, record.onStop]);
    }

    const kept = openKeptValue<{ source: { text: string } }>(memory(version, 'configuration')).get();
    const text = kept?.source.text ?? '';
    assert.equal(text, readFileSync(join(at, 'config.yaml'), 'utf8'));
    assert.equal((await parseConfiguration(text, 'config.yaml')).console.length, 1);
    const events = openJournal<{ event: { type: string } }>({ fd: memory(version, 'events'), first: 1, most: 1024 });
    assert.ok(events.all().some(({ event }) => event.type === 'exit'));
    assert.equal(openKeptFile(memory(version, 'console-extern-0.0.0')).conversation.greeted, true);
    for (const file of readdirSync(join(at, 'kept'))) assert.ok(memory(version, basename(file, '.json')) > 2);
  });
}

for (const version of versions) {
  test(`${version}: a trial that went back, its quarantine, schedules and the floor of serials are known`, async (t) => {
    const at = join(fixtures, version);
    const place = await makePlace(t, null);
    cpSync(join(at, 'trial/state'), join(place.dir, 'state'), { recursive: true });
    cpSync(join(at, 'trial/desired.yaml'), place.path);
    const { store } = await place.open({ runtime: '99.0.0' });
    const { trial, quarantine, document } = store.get();
    assert.deepEqual([trial?.record.state, trial?.record.generation, document.generation], ['reverted', 2, 3]);
    assert.deepEqual(quarantine.map(({ name }) => name).toSorted(), ['app:2.0.0', 'generation 2']);
    const failed: string[] = [];
    const { earlier } = openScheduleRecords({
      ...{ stateDir: join(place.dir, 'state'), stand: () => undefined, failed: (path) => failed.push(path) },
      kept: openKeptValue(createMemoryFile('schedules of a test')),
    });
    assert.deepEqual([[...earlier.keys()], failed], [['tick'], []]);
    const places = { stateDir: join(at, 'signed/state'), runDir: join(at, 'signed/run') };
    const floor = openFloor({ ...places, stand: () => undefined, failed: () => undefined });
    assert.equal(await floor.get(), 5);
  });
}

for (const version of versions) {
  test(`${version}: generations that are patches of others are known, over boots`, async (t) => {
    const at = join(fixtures, version, 'long');
    const place = await makePlace(t, null);
    cpSync(join(at, 'state'), join(place.dir, 'state'), { recursive: true });
    cpSync(join(at, 'desired.yaml'), place.path);
    assert.ok(readdirSync(join(at, 'state/generations')).some((name) => name.includes('-of-')));
    const { documents, store } = await place.open({ runtime: '99.0.0' });
    const { document, desired } = store.get();
    assert.deepEqual([document.status, desired.containers.get('app')?.state], ['ok', 'mounted']);
    assert.equal(await documents.textOf(document.generation), await place.read());
    assert.deepEqual(
      (await documents.history()).map(({ kind }) => kind),
      ['file', 'console'],
    );
  });
}

test('a field more in a record is passed over, and so is one less', () => {
  const record = decodeRecord(new Uint8Array());
  const newer = Buffer.from(JSON.stringify({ ...record, version: '1.2.3', newer: { field: 1 } }));
  assert.equal(decodeRecord(newer).version, '1.2.3');
  const { dependsOn: _, ...older } = record;
  assert.deepEqual(decodeRecord(Buffer.from(JSON.stringify(older))), record);
  assert.deepEqual(decodeRecord(encodeRecord(record)), record);
  assert.equal(decodeGlobal(Buffer.from('{"autostartDone":true,"newer":1}')).autostartDone, true);
});

test('the newest generation that is understood is in force, and the version that has stored a later one is named', async (t) => {
  const place = await makePlace(t, null);
  cpSync(join(fixtures, 'state-0.1.0/state'), join(place.dir, 'state'), { recursive: true });
  const generations = join(place.dir, 'state/generations');
  const stored = JSON.parse(readFileSync(join(generations, '0000000004-console.json'), 'utf8')) as Record<
    string,
    string
  >;
  const text = (stored['text'] ?? '').replace('containers:', 'unheardOf: {}\ncontainers:');
  mkdirSync(generations, { recursive: true });
  writeFileSync(
    join(generations, '0000000009-apply.json'),
    JSON.stringify({
      ...stored,
      generation: 9,
      kind: 'apply',
      runtime: '9.0.0',
      schema: 'northstate/v9',
      text,
      hash: hash('sha256', text),
    }),
  );
  writeFileSync(place.path, text);
  const { store } = await place.open();
  const { document } = store.get();
  assert.deepEqual([document.status, document.generation], ['invalid', 4]);
  assert.match(
    document.error?.message ?? '',
    /generation 9 is not understood .*northstate 9\.0\.0 has stored it.* generation 4 is in force/,
  );
});
