import assert from 'node:assert/strict';
import test from 'node:test';
import { parseDocument } from '../../../../state/document/parse-document.ts';
import {
  adoptDocument,
  inPlaceOf,
  lay,
  patchBoot,
  patchDocument,
  takesDown,
  type InForce,
} from '../../../../state/document/in-force.ts';
import { addFields, applyOverlay, differences, dropFields } from '../../../../state/document/overlay.ts';
import { PatchRefused } from '../../../../state/document/refusals.ts';
import { build } from '../../../../state/schema/build-desired.ts';
import { toJson } from '../../../../state/store.ts';
import { applyOperations, PatchError, resolveOperations, sameTree, toTree } from '../../../../state/text/tree.ts';

const mark = { generation: 2, origin: 'console', command: 'patch' };

function documentOf(containers: string, generation = 1) {
  const parsed = parseDocument(`apiVersion: northstate/v1\ncontainers: ${containers}\n`, { generation });
  assert.ok(parsed.ok, parsed.ok ? '' : parsed.error.message);
  return parsed;
}

const inForce = (containers: string): InForce => lay(documentOf(containers), [], null, 1, new Map());
const stateIn = ({ effective }: InForce, key: string) => effective.desired.containers.get(key)?.state;
const wants = (key: string, state: string) => [{ op: 'add', path: `/containers/${key}/state`, value: state } as const];

test('a patch leaves every entry that it does not touch the same object', () => {
  const before = inForce('{ a: {}, b: {} }');
  const { inForce: after } = patchDocument(before, wants('a', 'mounted'), mark);
  assert.equal(after.effective.desired.containers.get('b'), before.effective.desired.containers.get('b'));
  assert.equal(after.effective.desired.containers.get('a')?.generation, 2);
  assert.equal(after.effective.desired.containers.get('a')?.writtenBy, 'person');
});

test('an entry that a command makes is marked as such until a person changes it', () => {
  const { inForce: made } = patchDocument(inForce('{}'), wants('a', 'mounted'), mark);
  assert.equal(made.effective.desired.containers.get('a')?.writtenBy, 'console');
  const { inForce: again } = patchDocument(made, wants('a', 'running'), { ...mark, generation: 3 });
  assert.equal(again.effective.desired.containers.get('a')?.writtenBy, 'console');
});

test('a patch whose outcome is not valid is refused', () => {
  const before = inForce('{ a: {} }');
  assert.throws(() => patchDocument(before, wants('a:1.0.0', 'running'), mark), PatchRefused);
  assert.throws(() => patchBoot(before, wants('a', 'up'), mark), PatchRefused);
  assert.throws(
    () => patchBoot(before, [{ op: 'replace', path: '/containers/b/state', value: 'running' }], mark),
    PatchError,
  );
});

test('a field of the overlay that no longer fits an edited document gives way', () => {
  const before = patchBoot(inForce('{ "a:1.0.0": { state: mounted } }'), wants('a:1.0.0', 'running'), mark);
  const edited = documentOf('{ "a:1.0.0": { state: mounted }, a: { state: running } }', 3);
  const after = adoptDocument(before, edited, 3);
  assert.deepEqual([stateIn(after, 'a'), stateIn(after, 'a:1.0.0'), after.overlay], ['running', 'mounted', []]);
});

test('an entry that the overlay takes away comes back when the document changes it', () => {
  const before = patchBoot(inForce('{ a: {} }'), [{ op: 'remove', path: '/containers/a' }], mark);
  assert.equal(stateIn(before, 'a'), undefined);
  assert.equal(stateIn(adoptDocument(before, documentOf('{ a: {}, b: {} }', 3), 3), 'a'), undefined);
  assert.equal(stateIn(adoptDocument(before, documentOf('{ a: { run: 1 } }', 3), 3), 'a'), 'running');
});

test('what is ordered for the boot and ordered back leaves nothing over the document', () => {
  for (const stated of ['{ a: { state: running } }', '{ a: { version: ^1 } }']) {
    const stopped = patchBoot(inForce(stated), wants('a', 'mounted'), mark);
    assert.deepEqual(
      stopped.overlay.map(({ pointer }) => pointer),
      ['/containers/a/state'],
    );
    assert.deepEqual(patchBoot(stopped, wants('a', 'running'), mark).overlay, []);
  }
});

test('what is taken away of an entry that the overlay has made is gone from it', () => {
  const make = [{ op: 'add', path: '/containers/a:1.0.0', value: { state: 'running', run: 1 } }] as const;
  const made = patchBoot(inForce('{}'), make, mark);
  const { overlay } = patchBoot(made, [{ op: 'remove', path: '/containers/a:1.0.0/run' }], mark);
  assert.deepEqual(
    overlay.map(({ pointer, value }) => [pointer, value]),
    [['/containers/a:1.0.0', toTree({ state: 'running' })]],
  );
});

test('the differences of two trees, laid over the first, give the second', () => {
  const before = toTree({ a: { x: 1, y: { z: [1] } }, b: 1, c: {} });
  const after = toTree({ a: { x: 1, y: { z: [2], w: null } }, c: 2, d: { e: {} } });
  const fields = differences(before, after).map((difference) => ({ ...difference, ...mark }));
  assert.deepEqual(
    fields.map(({ pointer }) => pointer),
    ['/a/y/z', '/a/y/w', '/c', '/d', '/b'],
  );
  assert.ok(sameTree(applyOverlay(before, fields), after));
});

test('a field replaces what the overlay had at its place and below; a document drops what is above as well', () => {
  const field = (pointer: string) => ({ pointer, value: 1, ...mark });
  const overlay = ['/a/b', '/a/bc', '/a/b/c'].map(field);
  const pointers = (fields: readonly { pointer: string }[]) => fields.map(({ pointer }) => pointer);
  assert.deepEqual(pointers(addFields(overlay, [field('/a/b')])), ['/a/bc', '/a/b']);
  assert.deepEqual(pointers(dropFields(overlay, ['/a/b/c/d'])), ['/a/bc']);
});

test('an overlay that a document leaves alone is the same one: there is nothing to write down again', () => {
  const overlay = [{ pointer: '/a/b', value: 1, ...mark }];
  assert.equal(dropFields(overlay, ['/c']), overlay);
  const none: typeof overlay = [];
  assert.equal(dropFields(none, ['/a']), none);
});

test('the operations of RFC 6902 do what its examples say', () => {
  const cases: [before: unknown, operations: object[], after: unknown][] = [
    [{ foo: 'bar' }, [{ op: 'add', path: '/baz', value: 'qux' }], { baz: 'qux', foo: 'bar' }],
    [{ foo: ['bar', 'baz'] }, [{ op: 'add', path: '/foo/1', value: 'qux' }], { foo: ['bar', 'qux', 'baz'] }],
    [{ baz: 'qux', foo: 'bar' }, [{ op: 'remove', path: '/baz' }], { foo: 'bar' }],
    [{ foo: ['bar', 'qux', 'baz'] }, [{ op: 'remove', path: '/foo/1' }], { foo: ['bar', 'baz'] }],
    [
      { foo: { bar: 'baz', waldo: 'fred' }, qux: { corge: 'grault' } },
      [{ op: 'move', from: '/foo/waldo', path: '/qux/thud' }],
      { foo: { bar: 'baz' }, qux: { corge: 'grault', thud: 'fred' } },
    ],
    [
      { foo: ['all', 'grass', 'cows', 'eat'] },
      [{ op: 'move', from: '/foo/1', path: '/foo/3' }],
      { foo: ['all', 'cows', 'eat', 'grass'] },
    ],
    [{ '/': 9, '~1': 10 }, [{ op: 'test', path: '/~01', value: 10 }], { '/': 9, '~1': 10 }],
    [{ foo: ['bar'] }, [{ op: 'add', path: '/foo/-', value: ['abc', 'def'] }], { foo: ['bar', ['abc', 'def']] }],
    [{ a: { b: 1 } }, [{ op: 'copy', from: '/a', path: '/c' }], { a: { b: 1 }, c: { b: 1 } }],
  ];
  for (const [before, operations, after] of cases) {
    const made = applyOperations(toTree(before), operations as Parameters<typeof applyOperations>[1]);
    assert.deepEqual(toJson(made), toJson(toTree(after)));
  }
});

test('an operation that cannot be applied is named, and none of the patch is', () => {
  const tree = toTree({ a: [1], b: {} });
  const bad = [
    { op: 'add', path: '/a/2', value: 1 },
    { op: 'remove', path: '/c' },
    { op: 'add', path: '/c/d', value: 1 },
    { op: 'replace', path: '/a/01', value: 1 },
    { op: 'move', from: '/b', path: '/b/c' },
    { op: 'remove', path: '' },
  ] as const;
  for (const operation of bad) {
    assert.throws(
      () => resolveOperations(tree, [{ op: 'add', path: '/ok', value: 1 }, operation]),
      (error) => error instanceof PatchError && error.index === 1,
      JSON.stringify(operation),
    );
  }
  assert.ok(!JSON.stringify(toJson(tree)).includes('ok'));
});

test('an edited document is built once: entries that are as before stay the same objects, from a thread as well', () => {
  const system = { id: 'system', type: 'fs', dir: '/system', keys: [], mountOnStart: false } as const;
  const configured = new Map([
    ['system', { ...system, capacity: { containers: null, size: null }, integrity: 'none' as const }],
  ]);
  const text = (containers: string) =>
    `apiVersion: northstate/v1\nrepositories: { more: { type: mem } }\ncontainers: ${containers}\n`;
  const before = parseDocument(text('{ a: {}, b: { state: mounted } }'), { generation: 1, configured });
  const edited = parseDocument(text('{ b: { state: mounted }, a: { run: 1 }, c: {} }'), { configured });
  assert.ok(before.ok && edited.ok);
  const afar = structuredClone({ tree: edited.tree, desired: edited.desired });
  const anew = build(edited.tree, { before, generation: 7, writtenBy: 'person', configured });
  for (const built of [edited, afar]) {
    const after = inPlaceOf(before, built, 7);
    assert.deepEqual({ ...after, tree: edited.tree }, anew);
    assert.equal(after.desired.containers.get('b'), before.desired.containers.get('b'));
    for (const id of ['system', 'more'])
      assert.equal(after.desired.repositories.get(id), before.desired.repositories.get(id));
  }
});

test('a patch against which nothing can stand takes entries down that run, and says nothing else', () => {
  const now = inForce('{ a: {}, b: { state: mounted }, "c:1.0.0": { state: running } }');
  const down = wants('a', 'mounted');
  for (const fits of [down, wants('c:1.0.0', 'mounted'), [...down, ...wants('c:1.0.0', 'mounted')]]) {
    assert.ok(takesDown(now, fits, true) && takesDown(now, fits, false));
    patchBoot(now, fits, mark);
    patchDocument(now, fits, mark);
  }
  const others = [
    ...[wants('b', 'mounted'), wants('a', 'absent'), wants('d', 'mounted'), wants('a', 'up'), wants('a/b', 'mounted')],
    [{ op: 'add', path: '/containers/a', value: 'mounted' } as const],
    [{ op: 'test', path: '/containers/a/state', value: 'mounted' } as const],
    [...down, { op: 'add', path: '/containers/a/paused', value: true } as const],
  ];
  for (const other of others) assert.equal(takesDown(now, other, true), false, JSON.stringify(other));
  const inBoot = patchBoot(now, wants('b', 'running'), mark);
  assert.deepEqual(
    [takesDown(inBoot, wants('b', 'mounted'), true), takesDown(inBoot, wants('b', 'mounted'), false)],
    [true, false],
  );
});
