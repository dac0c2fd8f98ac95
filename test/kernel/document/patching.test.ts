// Patches of somebody who has read the document, beside others who edit it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Operation } from 'fast-json-patch';
import { DocumentConflict } from '../../../state/document/documents.ts';
import { mergeOperations } from '../../../state/text/merge-patch.ts';
import { PatchRefused } from '../../../state/document/refusals.ts';
import { PatchError } from '../../../state/text/tree.ts';
import { has, head, makePlace, namesIn } from './document-fixture.ts';

const text = `${head}containers:\n  a: { state: mounted } # kept\n`;
const given = { lifetime: 'document', origin: 'test', expected: null } as const;
const setA = (state: string): Operation => ({ op: 'replace', path: '/containers/a/state', value: state });

test('a patch is durable when it is answered, and a merge patch is one as well', async (t) => {
  const place = await makePlace(t, text);
  const { documents, store } = await place.open();
  const { generation } = await documents.patchRead(() => [setA('running')], given);
  assert.equal(await place.read(), text.replace('mounted', 'running'));
  const merge = { containers: { a: { state: 'installed' }, b: { version: '1.0.0' } } };
  const merged = await documents.patchRead((tree) => mergeOperations(tree, merge), { ...given, expected: generation });
  assert.match(await place.read(), /a: \{ state: installed \} # kept\n {2}b:/);
  assert.ok(merged.generation > generation && has('b')(store.get()));
  const same = await documents.patchRead((tree) => mergeOperations(tree, merge), given);
  assert.deepEqual(same, merged);
});

test('a state that is set back to its default is taken away where nobody had written one, also after a death', async (t) => {
  const before = `${head}containers:\n  a: { version: 1.0.0 } # kept\n  b: { state: running } # too\n`;
  const place = await makePlace(t, before);
  const set = (state: string): Operation[] =>
    ['a', 'b'].map((key) => ({ op: 'add', path: `/containers/${key}/state`, value: state }));
  const first = await place.open();
  await (
    await first.documents.patch(set('mounted'), given)
  ).durable;
  assert.match(await place.read(), /a: \{ version: 1\.0\.0, state: mounted \} # kept/);
  await first.documents.close();
  const { documents } = await place.open();
  await (
    await documents.patch(set('running'), given)
  ).durable;
  assert.equal(await place.read(), before);
});

test('a patch that expects another generation is refused with both, also when the file was edited a moment ago', async (t) => {
  const place = await makePlace(t, text);
  const { documents, store } = await place.open();
  const read = store.get().generation;
  await place.write(`${head}containers:\n  b: {}\n`);
  await assert.rejects(
    documents.patchRead(() => [setA('running')], { ...given, expected: read }),
    (error) => {
      assert.ok(error instanceof DocumentConflict);
      assert.deepEqual([error.expected, error.generation], [read, store.get().generation]);
      assert.notEqual(error.generation, read);
      return true;
    },
  );
  assert.deepEqual(namesIn(store.get()), ['b']);
});

test('an edit that comes before the patch is written has the patch made anew on it, or refused, and nothing of it stays', async (t) => {
  const place = await makePlace(t, text);
  let edit: string | null = null;
  const { documents, store } = await place.open({
    async exchange(from, to) {
      // Somebody saves the file just before it is exchanged for ours.
      if (edit !== null) await place.write(edit);
      edit = null;
      const { exchange } = await import('../../../native/file.ts');
      exchange(from, to);
    },
  });
  edit = `${text}  c: {}\n`;
  const made = await documents.patchRead(() => [setA('running')], given);
  assert.equal(await place.read(), `${text.replace('mounted', 'running')}  c: {}\n`);
  assert.equal(made.generation, store.get().generation);

  edit = `${head}containers:\n  c: {}\n`;
  await assert.rejects(
    documents.patchRead(() => [setA('installed')], given),
    DocumentConflict,
  );
  assert.deepEqual(namesIn(store.get()), ['c']);
  assert.equal(await place.read(), `${head}containers:\n  c: {}\n`);
  assert.deepEqual(store.get().overlay, []);
});

test('a patch that does not fit, or makes no good document, changes nothing, not by half', async (t) => {
  const place = await makePlace(t, text);
  const { documents, store } = await place.open();
  const before = store.get().generation;
  const patch = (...operations: Operation[]) => documents.patchRead(() => [setA('running'), ...operations], given);
  await assert.rejects(patch({ op: 'remove', path: '/containers/none' }), PatchError);
  await assert.rejects(patch({ op: 'add', path: '/containers/a/colour', value: 1 }), PatchRefused);
  await assert.rejects(patch({ op: 'test', path: '/containers/a/state', value: 'absent' }), /the test failed/);
  const doubled = Array.from({ length: 40 }, (_, i): Operation => ({ op: 'copy', from: '', path: `/x${i}` }));
  await assert.rejects(patch(...doubled), /becomes too large/);
  assert.equal(store.get().generation, before);
  assert.equal(await place.read(), text);
});

test('a stored generation comes back as a new one, unless another is in force than expected', async (t) => {
  const place = await makePlace(t, text);
  const { documents, store } = await place.open();
  const first = store.get().generation;
  await documents.apply(`${head}containers: { b: {} }\n`, { origin: 'test' });
  const second = store.get().generation;
  await assert.rejects(documents.rollback(first, { origin: 'test', expected: first }), DocumentConflict);
  await assert.rejects(documents.rollback(999, { origin: 'test' }), /999 is not stored/);
  const { generation } = await documents.rollback(first, { origin: 'test', expected: second });
  assert.ok(generation > second);
  assert.equal(await place.read(), text);
});
