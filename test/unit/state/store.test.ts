import assert from 'node:assert/strict';
import test from 'node:test';
import type { Operation } from 'fast-json-patch';
import { formatPointer, parsePointer } from '../../../state/text/pointer.ts';
import { createStore, toJson, type State } from '../../../state/store.ts';
import { applyOperations, sameTree, toTree } from '../../../state/text/tree.ts';

const locked = { version: '1.0.0', repository: 'system', digest: null };

test('every change gives RFC 6902 operations that lead from the state before to the one after', () => {
  const store = createStore();
  let replica = toTree(toJson(store.get()));
  store.subscribe((operations) => {
    replica = applyOperations(replica, operations);
  });
  store.update((draft) => {
    draft.lock.set('a/b~c', locked).set('__proto__', locked);
    draft.overlay = [{ pointer: '/x', origin: 'o', command: 'patch', generation: 1 }];
  });
  store.update((draft) => {
    draft.lock.set('a/b~c', { ...locked, version: '2.0.0' });
    draft.lock.delete('__proto__');
    draft.overlay.push({ pointer: '/y', origin: 'o', command: 'patch', generation: 2 });
  });
  store.update((draft) => {
    draft.overlay.splice(0, 1);
    draft.status.containers['a'] = undefined as never;
    delete draft.status.containers['a'];
    draft.generation = 3;
  });
  assert.ok(sameTree(replica, toTree(toJson(store.get()))), JSON.stringify(toJson(replica)));
});

test('a key of a Map is one step of the pointer, escaped', () => {
  const store = createStore();
  const operations = store.update((draft) => {
    draft.lock.set('a/b~c', locked);
  });
  assert.deepEqual(operations, [{ op: 'add', path: '/lock/a~1b~0c', value: toJson(locked) }]);
});

test('one observed entry is set, replaced and taken away, and the state before stays as it was', () => {
  const store = createStore();
  const before = store.get();
  let replica = toTree(toJson(before));
  const told: string[] = [];
  store.subscribe((operations) => {
    replica = applyOperations(replica, operations);
    told.push(...operations.map(({ op, path }) => `${op} ${path}`));
  });
  const ran = { run: 1, exit: null, attempt: 7 };
  store.observe('ran', '__proto__', ran);
  store.observe('ran', '__proto__', { ...ran, run: 2 });
  assert.deepEqual(store.get().observed.ran.get('__proto__'), { ...ran, run: 2 });
  assert.ok(sameTree(replica, toTree(toJson(store.get()))));
  store.observe('ran', '__proto__', undefined);
  store.observe('ran', 'nobody', undefined);
  assert.deepEqual(
    told,
    ['add', 'replace', 'remove'].map((op) => `${op} /observed/ran/__proto__`),
  );
  assert.equal(before.observed.ran.size, 0);
  assert.ok(sameTree(replica, toTree(toJson(store.get()))));
});

test('a container may be named like a member of every object', () => {
  const store = createStore();
  const operations = store.update((draft) => {
    draft.status.containers['__proto__'] = { phase: 'Running' } as never;
  });
  assert.deepEqual(
    operations.map(({ path }) => path),
    ['/status/containers/__proto__'],
  );
  assert.equal(JSON.stringify(store.get().status.containers), '{"__proto__":{"phase":"Running"}}');
});

test('nothing is told when nothing has changed', () => {
  const store = createStore();
  let told = 0;
  store.subscribe(() => told++);
  assert.deepEqual(
    store.update((draft) => {
      draft.generation = 0;
    }),
    [],
  );
  assert.equal(told, 0);
});

test('listeners are told of changes in order, also of those that another listener makes', () => {
  const store = createStore();
  const seen: number[] = [];
  const stop = store.subscribe((_: readonly Operation[], { generation }: State) => {
    if (generation < 3)
      store.update((draft) => {
        draft.generation++;
      });
  });
  store.subscribe((_, { generation }) => seen.push(generation));
  store.update((draft) => void (draft.generation = 1));
  stop();
  store.update((draft) => {
    draft.generation++;
  });
  assert.deepEqual(seen, [1, 2, 3, 4]);
});

test('pointers escape ~ and / and nothing else', () => {
  for (const path of [[], [''], ['a', 'b'], ['a/b', '~', '~1', '/'], ['0', '-']]) {
    assert.deepEqual(parsePointer(formatPointer(path)), path);
  }
  assert.throws(() => parsePointer('a'), SyntaxError);
  assert.throws(() => parsePointer('/~2'), SyntaxError);
});

test('all of an observed map is set at once, told entry by entry, and only once', () => {
  const store = createStore();
  let replica = toTree(toJson(store.get()));
  const told: string[] = [];
  store.subscribe((operations) => {
    replica = applyOperations(replica, operations);
    told.push(...operations.map(({ op, path }) => `${op} ${path}`));
  });
  const ran = { run: 1, exit: null, attempt: 7 };
  const values = new Map([
    ['a/b', ran],
    ['__proto__', ran],
  ]);
  store.observeAll('ran', new Map());
  store.observeAll('ran', values);
  assert.deepEqual(told, ['add /observed/ran/a~1b', 'add /observed/ran/__proto__']);
  assert.ok(sameTree(replica, toTree(toJson(store.get()))));
  values.clear();
  assert.equal(store.get().observed.ran.size, 2);
  assert.throws(() => store.observeAll('ran', new Map([['c', ran]])), /observed before/);
});

test('places that are set lead from the state before to the one after, in one change, and leave the one before as it was', () => {
  const store = createStore();
  store.set([{ path: ['lock', 'a/b'], value: locked }]);
  const before = store.get();
  const text = JSON.stringify(toJson(before));
  let replica = toTree(toJson(before));
  const told: string[][] = [];
  store.subscribe((operations) => {
    replica = applyOperations(replica, operations);
    told.push(operations.map(({ op, path }) => `${op} ${path}`));
  });
  store.set([
    { path: ['lock', 'a/b'] },
    { path: ['lock', '__proto__'], value: locked },
    { path: ['status', 'containers', '__proto__'], value: { phase: 'Running' } },
    { path: ['lock', 'nobody'] },
    { path: ['generation'], value: 7 },
  ]);
  assert.deepEqual(told, [
    ['remove /lock/a~1b', 'add /lock/__proto__', 'add /status/containers/__proto__', 'replace /generation'],
  ]);
  assert.ok(sameTree(replica, toTree(toJson(store.get()))));
  assert.equal(JSON.stringify(toJson(before)), text);
  assert.equal(store.get().observed, before.observed, 'what does not lie on the way is shared');
  store.set([{ path: ['lock', 'nobody'] }]);
  assert.equal(told.length, 1);
});

test('what is changed together is told as one change, and what came before it by itself', () => {
  const store = createStore();
  const told: string[][] = [];
  let replica = toTree(toJson(store.get()));
  store.subscribe((operations, state) => {
    told.push(operations.map(({ op, path }) => `${op} ${path}`));
    replica = applyOperations(replica, operations);
    if (state.generation === 1) {
      store.set([{ path: ['generation'], value: 2 }]);
      store.together(() => store.set([{ path: ['lock', 'c'], value: locked }]));
    }
  });
  const given = store.together(() => {
    store.set([{ path: ['lock', 'a'], value: locked }]);
    store.together(() => store.set([{ path: ['lock', 'a'] }]));
    store.set([{ path: ['generation'], value: 1 }]);
    return store.get().generation;
  });
  assert.equal(given, 1);
  assert.deepEqual(told, [
    ['add /lock/a', 'remove /lock/a', 'replace /generation'],
    ['replace /generation'],
    ['add /lock/c'],
  ]);
  assert.ok(sameTree(replica, toTree(toJson(store.get()))));
  const fails = (): void => {
    store.set([{ path: ['lock', 'd'], value: locked }]);
    throw new Error('in the middle');
  };
  assert.throws(() => store.together(fails), /in the middle/);
  assert.deepEqual(told.at(-1), ['add /lock/d'], 'what was changed until then is told');
});
