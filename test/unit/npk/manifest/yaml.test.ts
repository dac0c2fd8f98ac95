import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { blockNodes } from '../../../../src/npk/manifest/block-nodes.ts';
import { jsonNodes } from '../../../../src/npk/manifest/json-nodes.ts';
import type { Node } from '../../../../src/npk/manifest/nodes.ts';
import { yamlNodes } from '../../../../src/npk/manifest/yaml-nodes.ts';

/** A tree without its positions. */
function bare(node: Node): unknown {
  const { tag } = node;
  if (node.kind === 'scalar') return { tag, text: node.text, plain: node.plain };
  if (node.kind === 'list') return { tag, items: node.items.map(bare) };
  return { tag, entries: [...node.entries].map(([key, { value }]) => [key, bare(value)]) };
}

test('what packers write is read by the quick reader', () => {
  const text = `name: a.b_c-d
args:
- print
- '1'
- 'it''s'
- - nested
  - - deeper
env:
  '1': ''
  PATH: /bin:/usr/bin
sched:
  policy: !fifo
    priority: 7
network: !namespace blue
devices:
- major: 8
  minor: 0
- major: 9
nothing:
requirement: ^1.0
limit: -1
`;
  const node = blockNodes(text);
  assert.ok(node !== null);
  assert.deepEqual(bare(node), bare(yamlNodes(text)));
});

const left: Record<string, string> = {
  'a comment': 'a: 1 # one\n',
  'a flow list': 'a: [1]\n',
  'a double-quoted scalar': 'a: "b"\n',
  'a scalar over two lines': 'a: b\n  c\n',
  'a block scalar': 'a: |\n  b\n',
  'an anchor': 'a: &b c\n',
  'a key that is there twice': 'a: 1\na: 2\n',
  'a tab': 'a:\tb\n',
  'two documents': 'a: 1\n---\nb: 1\n',
  'an end mark': 'a: 1\n...\n',
  'an empty line': 'a: 1\n\nb: 2\n',
  'a letter beyond ASCII': 'a: ü\n',
  'a value that looks like a map': 'a: b: c\n',
  'a line that is less indented than its sibling': 'a:\n   b: 1\n  c: 1\n',
  nothing: '',
};

for (const [what, text] of Object.entries(left)) {
  test(`${what} is left to the full reader`, () => assert.equal(blockNodes(text), null));
}

const word = fc.constantFrom(
  'a',
  'b1',
  "'c d'",
  "''",
  '1.50',
  'yes',
  '~',
  '-1',
  '/x',
  'x: y',
  '!t',
  '!t u',
  '- v',
  'w:',
  'p#q',
  'r #s',
  '=1',
  '"t"',
  '[',
  '{}',
  '*a',
  '&a b',
  '|',
  '>',
  '%',
  '@',
  '`',
  ',',
  '?',
  '? k',
  ':',
  ': v',
  '-',
  '--',
  '---',
  '...',
  '#',
  '<<: x',
  "'",
  "'a'b",
  'a\\b',
);
const line = fc.tuple(
  fc.constantFrom('', '  ', '    ', ' ', '- ', '  - ', '- - '),
  fc.constantFrom('', 'k: ', 'l: ', "'m': ", 'n:', 'o:p'),
  fc.oneof(word, fc.constant('')),
);
const text = fc
  .array(line, { minLength: 1, maxLength: 8 })
  .map((lines) => lines.map((parts) => `${parts.join('')}\n`).join(''));

test('whatever the quick reader accepts, the full reader reads the same', () => {
  let accepted = 0;
  fc.assert(
    fc.property(text, (given) => {
      const quick = blockNodes(given);
      if (quick === null) return;
      accepted += 1;
      assert.deepEqual(bare(quick), bare(yamlNodes(given)));
    }),
    { numRuns: 5000 },
  );
  assert.ok(accepted > 100, `only ${accepted} texts were accepted`);
});

test('JSON is read as JSON.parse reads it, with the digits of its numbers', () => {
  const plain = (node: Node): unknown => {
    if (node.kind === 'list') return node.items.map(plain);
    if (node.kind === 'map')
      return Object.fromEntries([...node.entries].map(([key, { value }]) => [key, plain(value)]));
    return node.plain ? (JSON.parse(node.text) as unknown) : node.text;
  };
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4 }), fc.constantFrom(0, 2), (value, indent) => {
      const json = JSON.stringify(value, null, indent);
      const node = jsonNodes(json);
      assert.ok(node !== null);
      assert.deepEqual(plain(node), JSON.parse(json));
    }),
  );
  assert.deepEqual(bare(jsonNodes('18446744073709551615')!), { tag: null, text: '18446744073709551615', plain: true });
  assert.equal(jsonNodes('{a: 1}'), null);
});
