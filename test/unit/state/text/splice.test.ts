import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import type { Operation } from 'fast-json-patch';
import { applyPatch } from 'rfc6902';
import { formatPointer } from '../../../../state/text/pointer.ts';
import { readText, splice } from '../../../../state/text/splice.ts';
import { toJson } from '../../../../state/store.ts';
import {
  applyOperations,
  isList,
  isMap,
  resolveOperations,
  sameTree,
  toTree,
  treeAt,
  type Tree,
} from '../../../../state/text/tree.ts';
import { treeOfYaml, type YamlText } from '../../../../state/text/yaml.ts';
import { documents, names, paths, scalars, trees, written } from './random-documents.ts';

/** The text after a patch. */
function patched(text: string, operations: Operation[]): string {
  const before = readText(text, null);
  return splice(before, resolveOperations(before.tree, operations, { makeParents: true }).changes, null).text;
}

test('for random documents and patches, reading what was written gives the same as patching what was read', () => {
  let count = 0;
  let skipped = 0;
  const property = fc.property(
    documents,
    fc.array(fc.tuple(fc.nat(), fc.nat(5), names, trees), { minLength: 1, maxLength: 3 }),
    ({ tree, choose }, edits) => {
      const text = written(tree, choose, []);
      let before;
      try {
        before = readText(text, null);
        count++;
      } catch {
        skipped++; // an alias to itself, say
        return;
      }
      const operations: Operation[] = [];
      let now = before.tree;
      for (const [where, kind, name, value] of edits) {
        const all = paths(now).filter((path) => path.length > 0 || where % 7 === 0);
        const path = all[where % all.length] ?? [];
        const operation: Operation =
          kind === 0 && path.length > 0
            ? { op: 'remove', path: formatPointer(path) }
            : kind <= 2
              ? { op: 'replace', path: formatPointer(path), value: toJson(value) }
              : { op: 'add', path: formatPointer([...path, name]), value: toJson(value) };
        try {
          now = applyOperations(now, [operation]);
        } catch {
          continue;
        }
        operations.push(operation);
      }
      const oracle = JSON.parse(JSON.stringify({ document: toJson(before.tree) })) as object;
      const under = operations.map((operation) => ({ ...operation, path: `/document${operation.path}` }));
      if (!JSON.stringify(operations).includes('__proto__') && !JSON.stringify(oracle).includes('__proto__')) {
        const errors = applyPatch(oracle, under as Parameters<typeof applyPatch>[1]);
        assert.deepEqual(
          errors.filter((error) => error !== null),
          [],
        );
        assert.ok(sameTree(toTree((oracle as { document: unknown }).document), now), 'the oracle disagrees');
      }
      const after = patched(text, operations);
      assert.ok(sameTree(readText(after, null).tree, now), JSON.stringify({ text, operations, after }));
    },
  );
  fc.assert(property, { numRuns: Number(process.env['NORTHSTATE_FUZZ'] ?? 400) });
  assert.ok(count > 0 && skipped < count, 'too many of the documents were no YAML');
});

test('replacing a scalar by another touches no byte outside of it', () => {
  const property = fc.property(documents, fc.nat(), scalars, ({ tree, choose }, where, value) => {
    const text = written(tree, choose, []);
    if (text.includes('*')) return; // aliases give way
    const before = readText(text, null);
    const leaves = paths(before.tree).filter((path) => path.length > 0 && isScalarAt(before.tree, path));
    const path = leaves[where % Math.max(1, leaves.length)];
    if (path === undefined) return;
    const after = patched(text, [{ op: 'replace', path: formatPointer(path), value }]);
    const old = renderedAt(text, before.yaml, path);
    assert.ok(
      after.startsWith(text.slice(0, old.from)) && after.endsWith(text.slice(old.to)),
      JSON.stringify({ text, path, value, after }),
    );
  });
  fc.assert(property, { numRuns: Number(process.env['NORTHSTATE_FUZZ'] ?? 400) });
});

function isScalarAt(tree: Tree, path: string[]): boolean {
  const value = treeAt(tree, path);
  return !isMap(value) && !isList(value);
}

/** Where a scalar stands, as the parser's own nodes say. */
function renderedAt(text: string, yaml: YamlText, path: string[]): { from: number; to: number } {
  const node = yaml.document.getIn(
    path.map((key, depth) => (isList(treeAt(treeOfYaml(yaml, null), path.slice(0, depth))) ? Number(key) : key)),
    true,
  );
  const [from = 0, to = 0] = (node as { range?: number[] }).range ?? [];
  // One that is not written at all begins anywhere between the colon and a comment: right after the colon is ours.
  if (from === to) {
    const place = text.slice(0, from).trimEnd().length;
    return { from: place, to: place };
  }
  // An anchor before it goes with it; a block scalar's last line break is no part of it.
  const start = /&\w+\s*(?:#[^\n]*)?\s*$/.exec(text.slice(0, from))?.index ?? from;
  return { from: start, to: Math.max(start, start + text.slice(start, to).trimEnd().length) };
}

const examples: [what: string, before: string, operations: Operation[], after: string][] = [
  [
    'a value in a block map is replaced, its comment stays',
    'a:\n  state: running # why\n  run: 1\n',
    [{ op: 'replace', path: '/a/state', value: 'mounted' }],
    'a:\n  state: mounted # why\n  run: 1\n',
  ],
  [
    'a value in a flow map is replaced',
    'a: { state: running, run: 1 }   # why\n',
    [
      { op: 'add', path: '/a/state', value: 'mounted' },
      { op: 'add', path: '/a/run', value: 2 },
    ],
    'a: { state: mounted, run: 2 }   # why\n',
  ],
  [
    'a field is added below the others of its map, before the comments that follow',
    'a:\n    state: running # why\n# about b\nb: 1\n...\n',
    [{ op: 'add', path: '/a/run', value: 1 }],
    'a:\n    state: running # why\n    run: 1\n# about b\nb: 1\n...\n',
  ],
  [
    'a field is added to a flow map',
    'a: { state: running, }\n',
    [{ op: 'add', path: '/a/run', value: 1 }],
    'a: { state: running, run: 1, }\n',
  ],
  [
    'a field that is taken out of a flow map leaves no blanks, the last and the first',
    'a: { state: running, run: 1 } # why\nb: { run: 1, state: running, }\n',
    [
      { op: 'remove', path: '/a/run' },
      { op: 'remove', path: '/b/run' },
    ],
    'a: { state: running } # why\nb: { state: running, }\n',
  ],
  [
    'an entry is added as one line',
    'containers:\n  a: {}\n',
    [
      {
        op: 'add',
        path: '/containers/b:1.0.0',
        value: { state: 'running', restart: { policy: 'never' }, args: ['-v', '1'] },
      },
    ],
    'containers:\n  a: {}\n  "b:1.0.0": { state: running, restart: { policy: never }, args: ["-v", "1"] }\n',
  ],
  [
    'a map that is missing is made',
    'apiVersion: northstate/v1\n',
    [{ op: 'add', path: '/containers/a/state', value: 'running' }],
    'apiVersion: northstate/v1\ncontainers:\n  a:\n    state: running\n',
  ],
  [
    'a map that is null is made below its comment',
    'containers: # none yet\n...\n',
    [{ op: 'add', path: '/containers/a', value: {} }],
    'containers: # none yet\n  a: {}\n...\n',
  ],
  [
    'an empty map grows downwards',
    'containers: {} # none yet\nautostart: run\n',
    [{ op: 'add', path: '/containers/a', value: { run: 1 } }],
    'containers: # none yet\n  a: { run: 1 }\nautostart: run\n',
  ],
  [
    'an entry is removed with its lines, the comments around it stay',
    'containers:\n  # first\n  a:\n    x: 1\n  # second\n  b: 1\n',
    [{ op: 'remove', path: '/containers/a' }],
    'containers:\n  # first\n  # second\n  b: 1\n',
  ],
  [
    'the last entry leaves an empty map',
    'containers:\n  a:\n    x: 1\nautostart: run\n',
    [{ op: 'remove', path: '/containers/a' }],
    'containers: {}\nautostart: run\n',
  ],
  [
    'line breaks stay as they are, and no last one is added',
    'a:\r\n  x: 1\r\n  y: 2',
    [{ op: 'add', path: '/a/z', value: 3 }],
    'a:\r\n  x: 1\r\n  y: 2\r\n  z: 3',
  ],
  [
    'a block scalar is replaced, and what follows one stays apart from it',
    'a: |+ # text\n  one\n\nb: 1\n',
    [
      { op: 'replace', path: '/a', value: 'two' },
      { op: 'add', path: '/c', value: 3 },
    ],
    'a: two\n\nb: 1\nc: 3\n',
  ],
  [
    'a patch through an alias changes only the place that it names',
    'a: &x { s: 1 } # a\nb: *x # b\nc: *x\n',
    [{ op: 'replace', path: '/b/s', value: 2 }],
    'a: &x { s: 1 } # a\nb: { s: 2 } # b\nc: *x\n',
  ],
  [
    'a patch of what aliases stand for leaves them with what they said',
    'a: &x { s: 1 }\nb: *x\n',
    [{ op: 'replace', path: '/a/s', value: 2 }],
    'a: &x { s: 2 }\nb: { s: 1 }\n',
  ],
  [
    'an item of a list is added, replaced and removed',
    'args:\n  - one # 1\n  - two\nother: [a, b]\n',
    [
      { op: 'add', path: '/args/-', value: 'three' },
      { op: 'replace', path: '/args/0', value: 'ONE' },
      { op: 'remove', path: '/other/0' },
    ],
    'args:\n  - ONE # 1\n  - two\n  - three\nother: [b]\n',
  ],
  [
    'text that would be something else in YAML is quoted',
    'env: {}\n',
    [
      { op: 'add', path: '/env/A', value: '1.10' },
      { op: 'add', path: '/env/B', value: 'null' },
      { op: 'add', path: '/env/C', value: 'x: y # z' },
    ],
    'env:\n  A: "1.10"\n  B: "null"\n  C: "x: y # z"\n',
  ],
];

for (const [what, before, operations, after] of examples) {
  test(what, () => {
    assert.equal(patched(before, operations), after);
  });
}

test('a name that is too long for a key on one line is written all the same', () => {
  const name = `${'n'.repeat(1024)}:1.0.0`;
  const after = patched('containers: {}\n', [
    { op: 'add', path: `/containers/${name}`, value: { state: 'installed' } },
  ]);
  assert.deepEqual(
    toJson(readText(after, null).tree),
    toJson(toTree({ containers: { [name]: { state: 'installed' } } })),
  );
});

test('a byte order mark stays', () => {
  const after = patched('\ufeffa: 1\nb: 2\n', [{ op: 'replace', path: '/a', value: 3 }]);
  assert.equal(after, '\ufeffa: 3\nb: 2\n');
});
