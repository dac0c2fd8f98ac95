// Places of keys in TOML: what the parser reads and where it stands agree.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parse, stringify } from 'smol-toml';
import { test } from 'node:test';
import { ManifestError } from '../../../../src/npk/package-error.ts';
import { readManifest } from '../../../../src/npk/manifest/read-manifest.ts';
import { tomlPlaces } from '../../../../src/npk/manifest/toml-places.ts';

const base = 'name = "a"\nversion = "1.0.0"\ninit = "/a"\nuid = 1\ngid = 1\n';

const refused: [string, string][] = [
  ['colour = "blue"', '6:1: colour: there is no such field'],
  ['uid.x = 1\n', '6:1: Invalid TOML document: trying to redefine an already defined table or value'],
  [
    '[mounts."/a"]\ntype = "nfs"',
    "7:1: mounts./a.type: Invalid discriminator value. Expected 'bind' | 'dev' | 'persist' | 'proc' | 'sysfs' | 'sockets' | 'resource' | 'tmpfs'",
  ],
  ['[mounts]\n"/a" = { type = "tmpfs", size = "much" }', '7:26: mounts./a.size: "much" is not a size'],
  ['[sched.policy.fifo]\npriority = 100', '7:1: sched.policy.fifo.priority: Too big'],
  ['capabilities = [\n  "CAP_KILL", # one\n  "CAP_FLY",\n]', '8:3: capabilities.1: '],
  ['[[cgroups.blkio.weight_device]]\nmajor = 8\n[[cgroups.blkio.weight_device]]\nminor = "x"', ': cgroups.blkio.'],
  ['env = { "A\\u003dB" = "c" }', '6:9: env.A=B: must be at most 64 bytes without "="'],
];

for (const [text, message] of refused) {
  test(`refused with its place: ${text.replaceAll('\n', ' ')}`, async () => {
    await assert.rejects(readManifest(Buffer.from(base + text), { old: false }), (error) => {
      assert.ok(error instanceof ManifestError);
      assert.ok(error.message.includes(message), error.message);
      const [issue] = error.issues;
      assert.ok((issue.line ?? 0) > 0 && (issue.column ?? 0) > 0);
      return true;
    });
  });
}

/** Every path in a value. */
function pathsOf(value: unknown, path: readonly (string | number)[] = []): (readonly (string | number)[])[] {
  if (typeof value !== 'object' || value === null || value instanceof Date) return [path];
  const members: (readonly [string | number, unknown])[] = Array.isArray(value)
    ? [...value.entries()]
    : Object.entries(value);
  return [path, ...members.flatMap(([key, member]) => pathsOf(member, [...path, key]))];
}

test('every key and item of any TOML has a place, at which its name or value stands', () => {
  const key = fc.oneof(fc.string({ maxLength: 6 }), fc.constantFrom('a', 'b', 'c.d', '[x]', '"', "'", '#', '='));
  const leaf = fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.constantFrom('"""', "'''", '# no', '[a]\nb = 1'));
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof({ maxDepth: 4 }, leaf, fc.array(tie('tree'), { maxLength: 3 }), tie('table')),
    table: fc.dictionary(key, tie('tree'), { maxKeys: 4 }),
  }));
  fc.assert(
    fc.property(fc.dictionary(key, tree, { maxKeys: 5 }), (value) => {
      const text = stringify(value);
      const places = tomlPlaces(text);
      for (const path of pathsOf(parse(text)).slice(1)) {
        const at = places(path);
        assert.ok(at !== null && at < text.length, `${JSON.stringify(path)} in ${JSON.stringify(text)}`);
      }
    }),
    { numRuns: 1000 },
  );
});

test('places in a text with everything that TOML has', () => {
  const text = `# comment
title = 'one' # [no.table]
multi = """
[not.a.table]
x = 1 \\""" still"""
lit = '''
[neither]
'''
when = 1979-05-27 07:32:00
"quoted key" . 'other' = [ 1, [ 2, 3 ], { a = 1, b.c = [ "]" ] } ]

[ table . sub ]
key = 1
[[list]]
x = 1
[list.inner]
y = 2
[[list]]
x = 3
[[list.deep]]
z = 4
`;
  const places = tomlPlaces(text);
  const at = (...path: (string | number)[]): string => text.slice(places(path) ?? -1).split('\n')[0] ?? '';
  assert.equal(at('quoted key', 'other').slice(0, 12), '"quoted key"');
  assert.equal(at('quoted key', 'other', 1, 1), '3 ], { a = 1, b.c = [ "]" ] } ]');
  assert.equal(at('quoted key', 'other', 2, 'b', 'c', 0), '"]" ] } ]');
  assert.equal(at('table', 'sub', 'key'), 'key = 1');
  assert.equal(at('list', 0, 'inner', 'y'), 'y = 2');
  assert.equal(at('list', 1, 'x'), 'x = 3');
  assert.equal(at('list', 1, 'deep', 0, 'z'), 'z = 4');
  assert.equal(places(['not']), null);
  assert.equal(places(['neither']), null);
  for (const path of pathsOf(parse(text)).slice(1)) assert.notEqual(places(path), null, JSON.stringify(path));
});
