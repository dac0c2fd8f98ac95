// Documents that must be signed: which count, in what order, and over reboots.
import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { chmod, mkdir, readFile, readdir, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import type { DocumentsOptions } from '../../../state/document/documents.ts';
import { DocumentRefused, DocumentSigned } from '../../../state/document/documents.ts';
import { signInside, signText, type DocumentKey } from '../../../state/document/document-signature.ts';
import { has, head, makePlace, namesIn, until, type Place } from './document-fixture.ts';

const { publicKey, privateKey } = generateKeyPairSync('ed25519');
const other = generateKeyPairSync('ed25519');
const keys =
  (...all: KeyObject[]) =>
  () =>
    Promise.resolve(all.map((key): DocumentKey => ({ id: 'a'.repeat(64), key })));
const must = { admission: { keys: keys(publicKey), device: 'gateway-a' } } satisfies Partial<DocumentsOptions>;

function text(serial: number | null, name: string, more = ''): string {
  const said = [...(serial === null ? [] : [`serial: ${serial}`]), ...(more === '' ? [] : [more])].join(', ');
  return `${head}metadata: { ${said} }\ncontainers:\n  ${name}: {}\n...\n`;
}

const inside = (serial: number, name: string, more = ''): string => signInside(text(serial, name, more), privateKey);

async function signed(t: TestContext, first = inside(10, 'ten')): Promise<Place> {
  return await makePlace(t, first);
}

function refusal(reason: string) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof DocumentRefused, String(error));
    assert.equal(error.reason, reason, error.message);
    return true;
  };
}

test('what is unsigned, older, for others or torn is refused with its reason, and changes nothing', async (t) => {
  const place = await signed(t);
  const { documents, store } = await place.open(must);
  assert.deepEqual(namesIn(store.get()), ['ten']);
  const before = store.get();
  const cases: readonly (readonly [string, string, string | null])[] = [
    ['NotSigned', text(11, 'x'), null],
    ['NotSigned', 'not: even: yaml', null],
    ['BadSignature', signInside(text(11, 'x'), other.privateKey), null],
    ['BadSignature', text(11, 'x'), signText(text(11, 'y'), privateKey)],
    ['BadSignature', inside(11, 'x').replace('x: {}', 'y: {}'), null],
    ['NotSigned', inside(11, 'x').slice(0, -20), null],
    ['SerialLower', inside(9, 'x'), null],
    ['SerialMissing', signInside(text(null, 'x', 'name: y'), privateKey), null],
    ['OtherDevice', inside(11, 'x', 'compatible: [gateway-b, bench]'), null],
    ['OtherRuntime', inside(11, 'x', 'requires: northstate >=9'), null],
    [
      'OtherRuntime',
      signInside(`${text(11, 'x', 'requires: northstate >=9').slice(0, -4)}new: {}\n...\n`, privateKey),
      null,
    ],
  ];
  for (const [reason, given, signature] of cases) {
    await assert.rejects(documents.apply(given, { origin: 'test', signature }), refusal(reason));
    await assert.rejects(documents.apply(given, { origin: 'test', signature, dryRun: true }), refusal(reason));
    assert.equal(store.get().desired, before.desired, reason);
    assert.equal(await place.read(), inside(10, 'ten'), reason);
  }
  await documents.apply(inside(11, 'eleven', 'compatible: [x, gateway-a], requires: northstate >=0.1'), {
    origin: 'test',
  });
  assert.deepEqual(namesIn(store.get()), ['eleven']);
});

test('a file that does not count says so until it does; its signature may come after it', async (t) => {
  const place = await signed(t);
  const { store } = await place.open(must);
  const next = text(11, 'eleven');
  await place.write(next);
  const refused = await until(store, ({ conditions }) => conditions.size > 0);
  assert.deepEqual(
    [...refused.conditions.values()].map(({ type, subject }) => [type, subject]),
    [['DocumentRefused', place.path]],
  );
  const { document } = await until(store, (state) => state.document.status === 'invalid');
  assert.match(document.error?.message ?? '', /^NotSigned: /);
  assert.deepEqual(namesIn(store.get()), ['ten']);
  await writeFile(`${place.path}.sig`, `${signText(next, privateKey)}\n`);
  const taken = await until(store, has('eleven'));
  assert.equal(taken.document.status, 'ok');
  assert.equal((await until(store, ({ conditions }) => conditions.size === 0)).document.status, 'ok');
  // Torn: the comment that signs it is the end of the file.
  await place.write(inside(12, 'twelve').slice(0, -30));
  await until(store, (state) => state.document.status === 'invalid');
  assert.deepEqual(namesIn(store.get()), ['eleven']);
  await place.write(inside(12, 'twelve'));
  await until(store, has('twelve'));
});

test('hostile files of signatures sign nothing and end nothing', async (t) => {
  const place = await signed(t);
  const { store } = await place.open(must);
  const beside = `${place.path}.sig`;
  const next = text(11, 'eleven');
  await place.write(next);
  await until(store, (state) => state.document.status === 'invalid');
  const good = join(place.dir, 'good');
  await writeFile(good, signText(next, privateKey));
  await chmod(good, 0o666);
  const acts: (() => Promise<void>)[] = [
    () => mkdir(beside),
    () => symlink(beside, beside),
    () => symlink('/dev/zero', beside),
    () => symlink('/proc/self/mem', beside),
    () => symlink(good, beside), // writable by everybody
    () => writeFile(beside, 'A'.repeat(50 * 1024 * 1024)),
    () => writeFile(beside, Buffer.alloc(64, 0xff)),
  ];
  for (const act of acts) {
    await act();
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.deepEqual(namesIn(store.get()), ['ten']);
    await rm(beside, { recursive: true });
  }
  await chmod(good, 0o600);
  await rename(good, beside);
  await until(store, has('eleven'));
});

test('the serial never falls, over reboots and lost generations, until its file goes', async (t) => {
  const place = await signed(t);
  const first = await place.open(must);
  await first.documents.apply(inside(20, 'twenty'), { origin: 'test' });
  await first.documents.close();
  const second = await place.open({ ...must, bootId: 'next' });
  assert.deepEqual(namesIn(second.store.get()), ['twenty']);
  await assert.rejects(second.documents.apply(inside(19, 'x'), { origin: 'test' }), refusal('SerialLower'));
  await second.documents.apply(inside(20, 'again'), { origin: 'test' });
  await second.documents.close();
  // What a factory reset of the document would leave.
  await rm(join(place.dir, 'state/generations'), { recursive: true });
  await place.write(inside(10, 'ten'));
  const third = await place.open({ ...must, bootId: 'third' });
  const { document } = await until(third.store, (state) => state.document.status === 'invalid');
  assert.match(document.error?.message ?? '', /^SerialLower: .* 10; one with 20/);
  await third.documents.close();
  await unlink(join(place.dir, 'state/serial.json'));
  const fourth = await place.open({ ...must, bootId: 'fourth' });
  await until(fourth.store, has('ten'));
});

test('generations keep their signature: after a start only what is signed with a key of today is in force', async (t) => {
  const place = await makePlace(t, null);
  const first = await place.open(must);
  const ten = text(10, 'ten');
  await first.documents.apply(ten, { origin: 'test', signature: signText(ten, privateKey) });
  assert.equal(await readFile(`${place.path}.sig`, 'utf8'), `${signText(ten, privateKey)}\n`);
  await first.documents.close();
  await unlink(`${place.path}.sig`);
  const again = await place.open(must);
  assert.deepEqual(namesIn(again.store.get()), ['ten']);
  assert.equal(again.store.get().document.status, 'ok');
  await again.documents.close();
  // Who writes the disk writes another desired state beside the signed text: the text alone counts.
  const [name = ''] = await readdir(join(place.dir, 'state/generations'));
  const file = join(place.dir, 'state/generations', name);
  const stored = await readFile(file, 'utf8');
  await writeFile(file, stored.replaceAll('"ten":{', '"evil":{').replaceAll('"key":"ten"', '"key":"evil"'));
  await rm(join(place.dir, 'run'), { recursive: true });
  const forged = await place.open(must);
  assert.deepEqual(namesIn(forged.store.get()), ['ten']);
  await forged.documents.close();
  const rotated = await place.open({ admission: { keys: keys(other.publicKey), device: null } });
  assert.deepEqual(namesIn(rotated.store.get()), []);
  assert.equal(rotated.store.get().document.status, 'invalid');
  await rotated.documents.close();
  const both = await place.open({ admission: { keys: keys(other.publicKey, publicKey), device: null } });
  assert.deepEqual(namesIn(both.store.get()), ['ten']);
});

test('keys that cannot be read are told, nothing is done meanwhile, and they are tried again', async (t) => {
  const place = await signed(t);
  const first = await place.open(must);
  await first.documents.close();
  let broken = true;
  const flaky = () => (broken ? Promise.reject(new Error('EIO: i/o error, open key')) : keys(publicKey)());
  const { store } = await place.open({ admission: { keys: flaky, device: null } });
  assert.match(store.get().unknown ?? '', /EIO/);
  await until(store, ({ conditions }) =>
    [...conditions.values()].some(({ type, message }) => type === 'Unreadable' && message.includes('EIO')),
  );
  broken = false;
  await until(store, (state) => has('ten')(state) && state.unknown === null);
  broken = true;
  await place.write(inside(11, 'eleven'));
  await until(store, (state) => state.document.status === 'invalid');
  assert.deepEqual(namesIn(store.get()), ['ten']);
  broken = false;
  await until(store, has('eleven'));
  await until(store, ({ conditions }) => conditions.size === 0);
});

test('the seed is signed as well', async (t) => {
  const place = await makePlace(t, null);
  const seed = join(place.dir, 'seed.yaml');
  const ten = text(10, 'ten');
  await writeFile(seed, ten);
  const refused = await place.open({ ...must, seed });
  assert.deepEqual(namesIn(refused.store.get()), []);
  assert.ok([...refused.store.get().conditions.values()].some(({ subject }) => subject === seed));
  await refused.documents.close();
  await writeFile(`${seed}.sig`, signText(ten, privateKey));
  let broken = true;
  const flaky = () => (broken ? Promise.reject(new Error('EIO: i/o error, open key')) : keys(publicKey)());
  const { store } = await place.open({ admission: { keys: flaky, device: null }, seed });
  assert.deepEqual(namesIn(store.get()), []);
  broken = false;
  await until(store, has('ten'));
});

test('patches are of the boot and of what the document names; rollback goes to what is confirmed alone', async (t) => {
  const place = await signed(t);
  const { documents, store } = await place.open(must);
  await documents.apply(inside(11, 'eleven'), { origin: 'test' });
  const [old] = await documents.history();
  const stop = [{ op: 'add', path: '/containers/eleven/state', value: 'mounted' }] as const;
  const origin = 'test';
  await assert.rejects(documents.patch(stop, { lifetime: 'document', origin }), DocumentSigned);
  const bad = [{ op: 'add', path: '/containers/eleven/env', value: { A: 'b' } }] as const;
  await assert.rejects(documents.patch(bad, { lifetime: 'boot', origin }), DocumentSigned);
  await assert.rejects(
    documents.patchRead(() => stop, { lifetime: 'boot', origin, expected: null }),
    DocumentSigned,
  );
  assert.throws(() => documents.renewLocks(['eleven'], { lifetime: 'document', origin }), DocumentSigned);
  await assert.rejects(documents.rollback(old?.generation ?? 0, { origin }), DocumentSigned);
  assert.equal(await place.read(), inside(11, 'eleven'));
  await documents.patch(stop, { lifetime: 'boot', origin });
  assert.equal(store.get().desired.containers.get('eleven')?.state, 'mounted');
  assert.equal(await place.read(), inside(11, 'eleven'));
  await documents.rollback(store.get().document.generation, { origin });
  assert.equal(store.get().desired.containers.get('eleven')?.state, 'running');
});

test('what an earlier start has let in over the document does not lie over a signed one', async (t) => {
  const place = await signed(t);
  const first = await place.open();
  const set = (path: string, value: unknown) =>
    first.documents.patch([{ op: 'add', path, value }], { lifetime: 'boot', origin: 'test' });
  await (
    await set('/containers/ten/env', { LD_PRELOAD: 'x' })
  ).durable;
  await (
    await set('/containers/other', { state: 'running' })
  ).durable;
  await (
    await set('/containers/ten/state', 'mounted')
  ).durable;
  assert.deepEqual(namesIn(first.store.get()).toSorted(), ['other', 'ten']);
  await first.documents.close();
  const { store } = await place.open(must);
  assert.deepEqual(
    store.get().overlay.map(({ pointer }) => pointer),
    ['/containers/ten/state'],
  );
  assert.deepEqual(namesIn(store.get()), ['ten']);
  assert.equal(store.get().desired.containers.get('ten')?.env.size, 0);
});

test('a disk that takes nothing keeps the serial for the boot, and has it when it takes it', async (t) => {
  const place = await signed(t);
  const { documents, store } = await place.open(must);
  const kept = join(place.dir, 'state/serial.json');
  await unlink(kept);
  await mkdir(kept);
  await documents.apply(inside(30, 'thirty'), { origin: 'test' });
  assert.deepEqual(namesIn(store.get()), ['thirty']);
  assert.ok(
    [...store.get().conditions.values()].some(({ type, subject }) => type === 'NotDurable' && subject === kept),
  );
  assert.match(await readFile(join(place.dir, 'run/serial.json'), 'utf8'), /30/);
  await assert.rejects(documents.apply(inside(29, 'x'), { origin: 'test' }), refusal('SerialLower'));
  await rm(kept, { recursive: true });
  await until(store, ({ conditions }) => conditions.size === 0);
  assert.equal(await readFile(kept, 'utf8'), '{"serial":30}\n');
});

test('what was confirmed last is taken again during a trial and after one, and nothing else with its serial', async (t) => {
  const place = await makePlace(t, null);
  const trial = { confirm: 'manual', soak: 0, within: 600_000, boots: 3 } as const;
  const { documents, store } = await place.open({ ...must, trial });
  const origin = 'test';
  const [ten, eleven, twelve] = [inside(10, 'ten'), inside(11, 'eleven'), inside(12, 'twelve')];
  await documents.apply(ten, { origin });
  await documents.apply(eleven, { origin });
  assert.equal(await documents.activate([]), null);
  assert.deepEqual(namesIn(store.get()), ['eleven']);
  await assert.rejects(documents.apply(inside(10, 'x'), { origin }), refusal('SerialLower'));
  await documents.apply(ten, { origin });
  assert.deepEqual([namesIn(store.get()), store.get().trial?.record.state], [['ten'], 'reverted']);
  // Who says the same again has nothing refused, though a higher serial was in force.
  await documents.apply(ten, { origin });
  await assert.rejects(documents.apply(inside(10, 'x'), { origin }), refusal('SerialLower'));

  // In the file as well.
  await documents.apply(twelve, { origin });
  assert.equal(await documents.activate([]), null);
  await place.write(ten);
  await until(store, (state) => namesIn(state).join() === 'ten' && state.document.status === 'ok');
  const { generation } = await documents.apply(twelve, { origin });
  assert.equal(await documents.activate([]), null);
  await documents.confirm(generation);
  await assert.rejects(documents.apply(ten, { origin }), refusal('SerialLower'));
});

test('a signed document on trial goes back with its signature; its serial is not asked of what was confirmed', async (t) => {
  const place = await makePlace(t, null);
  const trial = { confirm: 'manual', soak: 0, within: 600_000, boots: 3 } as const;
  const { documents, store } = await place.open({ ...must, trial });
  const [ten, eleven] = [text(10, 'ten'), text(11, 'eleven')];
  const origin = 'test';
  const first = await documents.apply(ten, { origin, signature: signText(ten, privateKey) });
  const next = await documents.apply(eleven, { origin, signature: signText(eleven, privateKey) });
  assert.deepEqual(namesIn(store.get()), ['ten'], 'it is staged');
  await assert.rejects(documents.rollback(next.generation, { origin }), DocumentSigned);
  await documents.close();

  // Who writes the disk writes other entries beside what is staged and signed.
  const name = (await readdir(join(place.dir, 'state/generations'))).find((each) =>
    each.startsWith(`000000000${next.generation}-apply`),
  );
  const file = join(place.dir, 'state/generations', name ?? '');
  const stored = await readFile(file, 'utf8');
  await writeFile(file, stored.replaceAll('"eleven":{', '"evil":{').replaceAll('"key":"eleven"', '"key":"evil"'));
  await rm(join(place.dir, 'run'), { recursive: true });
  const again = await place.open({ ...must, trial });
  assert.equal(await again.documents.activate([]), null);
  assert.deepEqual(namesIn(again.store.get()), ['eleven']);
  assert.match(await readFile(join(place.dir, 'state/serial.json'), 'utf8'), /11/);
  assert.equal(again.documents.lastConfirmed(), first.generation);

  await again.documents.revert({ reason: 'Requested', message: 'as the test wants it', entries: [] }, null);
  await again.documents.reverted(again.store.get().generation);
  assert.deepEqual(namesIn(again.store.get()), ['ten']);
  assert.equal(await place.read(), ten);
  assert.equal(await readFile(`${place.path}.sig`, 'utf8'), `${signText(ten, privateKey)}\n`);
  await again.documents.close();
  const later = await place.open({ ...must, trial, bootId: 'later' });
  assert.deepEqual(namesIn(later.store.get()), ['ten']);
  assert.equal(later.store.get().document.status, 'ok');
  await assert.rejects(later.documents.apply(inside(10, 'x'), { origin }), refusal('SerialLower'));
});
