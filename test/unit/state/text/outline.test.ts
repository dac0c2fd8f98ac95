// Parts of a text read and written by themselves: whatever is known, and whatever comes, the same as of the whole text.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { documentJsonSchema } from '../../../../state/schema/document-schema.ts';
import { outlineOf, rereadPart, splicePart, type OutlinedText } from '../../../../state/text/outline.ts';
import { readText, splice, type Spliced } from '../../../../state/text/splice.ts';
import { applyChange, isMap, sameTree, type TreeChange } from '../../../../state/text/tree.ts';
import { documents, names, trees, written } from './random-documents.ts';

const numRuns = Number(process.env['NORTHSTATE_FUZZ'] ?? 400);

/** Entries as people write them; KEY is another one in each. */
const entry = fc.tuple(
  fc.nat(40),
  fc.constantFrom(
    '  KEY: 1\n',
    '  KEY: { state: running, env: { X: y } } # flow\n',
    '  KEY:\n    state: installed # why\n    args: [one,\n      two]\n',
    '  KEY:\n    env:\n      TEXT: |\n        first\n\n        second\n',
    '  KEY: |+\n    kept\n\n',
    "  KEY: 'quoted\n    goes on'\n",
    '  KEY: plain\n    goes on\n',
    '  "KEY:1.0.0": {}\n',
    '  KEY:\n',
    '  KEY:\n  - item\n  - another\n',
    "  # a comment\n  KEY: '*'\n",
    '# far left\n  KEY: "!x"\n\n',
  ),
);
/** What should never be taken for an entry, or ends one. */
const others = fc.constantFrom(
  '\n',
  '  \n',
  '# a comment\n',
  '      # far right\n',
  '  ? g\n  : h\n',
  '  - item\n',
  '  <<: i\n',
  '  k: &anchor x\n',
  '  l: *anchor\n',
  '  m: !tag x\n',
  '...\n',
  '---\n',
  '}\n',
  '"\n',
  '    goes on\n',
  '    deeper: 1\n',
  ' shallow: 1\n',
  'autostart: run\n',
);
const piece = fc.oneof(
  { weight: 12, arbitrary: entry.map(([number, lines]) => lines.replace('KEY', `c-${number}`)) },
  { weight: 1, arbitrary: others },
);
const body = fc.array(piece, { maxLength: 8 });
const tails = fc.constantFrom('', '...\n', 'autostart: run\n', '# end\nautostart: ignore\n...\n');

function textOf(pieces: readonly string[], tail: string): string {
  return `apiVersion: northstate/v1\ncontainers:\n${pieces.join('')}${tail}`;
}

function read(text: string): Spliced | null {
  try {
    return readText(text, documentJsonSchema());
  } catch {
    return null;
  }
}

function outlined(text: string): OutlinedText | null {
  const whole = read(text);
  const outline = whole === null ? null : outlineOf(whole);
  return whole === null || outline === null ? null : { text, tree: whole.tree, outline };
}

/** It says what the whole text says, and its outline is that of the whole text. */
function check(part: OutlinedText): void {
  const whole = read(part.text);
  assert.ok(whole !== null, `the whole text is none:\n${part.text}`);
  assert.ok(sameTree(part.tree, whole.tree), part.text);
  assert.deepEqual(part.outline, outlineOf(whole), part.text);
  const [a, b] = [part.tree, whole.tree].map((tree) => (isMap(tree) ? tree.get('containers') : undefined));
  assert.deepEqual(isMap(a) && [...a.keys()], isMap(b) && [...b.keys()], part.text);
}

test('an edit of random lines is read in part as it is read whole', () => {
  let parts = 0;
  const edits = fc.tuple(fc.nat(), fc.nat(3), body);
  const property = fc.property(body, tails, fc.array(edits, { minLength: 1, maxLength: 4 }), (pieces, tail, all) => {
    let now = [...pieces];
    let known = outlined(textOf(now, tail));
    for (const [at, gone, added] of all) {
      now = now.toSpliced(at % (now.length + 1), gone, ...added.slice(0, 3));
      const text = textOf(now, tail);
      const part = known === null ? null : rereadPart(known, text, documentJsonSchema());
      if (part !== null) {
        check(part);
        parts += 1;
      }
      known = part ?? outlined(text);
    }
  });
  fc.assert(property, { numRuns: 2 * numRuns });
  assert.ok(parts > numRuns / 8, `${parts} parts were read`);
});

test('an edit of any characters is read in part as it is read whole', () => {
  let parts = 0;
  const document = textOf(
    Array.from({ length: 12 }, (_, index) => `  c-${index}: { state: running } # ${index}\n`),
    'autostart: run\n...\n',
  );
  const before = outlined(document);
  assert.ok(before !== null);
  const pieces = fc.string({
    unit: fc.constantFrom(
      ' ',
      '\n',
      ':',
      '#',
      '{',
      '}',
      '[',
      ']',
      '|',
      '>',
      '-',
      '?',
      '*',
      '&',
      '!',
      '%',
      "'",
      '"',
      'a',
      'b',
      '0',
      ',',
      '.',
    ),
    maxLength: 8,
  });
  const property = fc.property(fc.nat(document.length), fc.nat(12), pieces, (at, gone, put) => {
    const text = document.slice(0, at) + put + document.slice(at + gone);
    const part = rereadPart(before, text, documentJsonSchema());
    if (part === null) return;
    check(part);
    parts += 1;
  });
  fc.assert(property, { numRuns: 2 * numRuns });
  assert.ok(parts > numRuns / 8, `${parts} parts were read`);
});

test('changes of random entries are written in part as they are written whole', () => {
  let parts = 0;
  const operations = fc.array(fc.tuple(fc.nat(), fc.nat(3), names, trees), { minLength: 1, maxLength: 3 });
  const property = fc.property(documents, operations, ({ tree, choose }, asked) => {
    if (!isMap(tree)) return;
    const text = written(new Map([['containers', tree]]), choose, []);
    const known = outlined(text);
    if (known === null) return;
    const changes: TreeChange[] = [];
    let now = known.tree;
    for (const [where, kind, name, value] of asked) {
      const section = isMap(now) ? now.get('containers') : undefined;
      const keys = isMap(section) ? [...section.keys()] : [];
      const key = keys[where % Math.max(1, keys.length)] ?? name;
      const change: TreeChange =
        kind === 0 && keys.length > 1
          ? { op: 'remove', path: ['containers', key] }
          : kind === 1
            ? { op: 'set', path: ['containers', name], value }
            : { op: 'set', path: ['containers', key], value };
      now = applyChange(now, change);
      changes.push(change);
    }
    const part = splicePart(known, changes, documentJsonSchema());
    if (part === null) return;
    check(part);
    assert.ok(sameTree(part.tree, now), part.text);
    const whole = read(text);
    assert.ok(whole !== null);
    assert.equal(part.text, splice(whole, changes, documentJsonSchema()).text, text);
    parts += 1;
  });
  fc.assert(property, { numRuns: 2 * numRuns });
  assert.ok(parts > numRuns / 20, `${parts} parts were written`);
});
