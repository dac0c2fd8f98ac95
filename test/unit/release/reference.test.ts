// Every field is described: in the schemas, for editors, and in the references, which are made from them.
// NORTHSTATE_WRITE_REFERENCE=1 writes the references anew.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { schemas } from '../../../src/cli/schema.ts';
import { configurationDescriptions } from '../../../src/config/config-descriptions.ts';
import { messageDescriptions } from '../../../src/console/protocol/message-descriptions.ts';
import { referenceOf } from '../../../src/release/reference.ts';
import { describingKey, propertiesOf, type Descriptions } from '../../../state/schema/describe-schema.ts';
import { documentDescriptions, manifestDescriptions } from '../../../state/schema/descriptions.ts';

const kinds: readonly [keyof typeof schemas, Descriptions][] = [
  ['document', documentDescriptions],
  ['manifest', manifestDescriptions],
  ['configuration', configurationDescriptions],
  ['console', messageDescriptions],
];

for (const [kind, texts] of kinds) {
  const properties = propertiesOf(schemas[kind]());

  test(`every property in the schema of ${kind} has a description`, () => {
    assert.ok(properties.size > 50);
    const empty = [...properties].filter(([, { schema }]) => (schema.description ?? '').length < 4);
    assert.deepEqual(
      empty.map(([key]) => key),
      [],
    );
  });

  test(`every description of ${kind} is that of a property`, () => {
    const used = new Set([...properties.values()].map(({ path }) => describingKey(path, texts)));
    assert.deepEqual(
      Object.keys(texts).filter((key) => !used.has(key)),
      [],
    );
  });
}

const references = [
  [
    'src/npk/manifest/fields.md',
    'Every field of a manifest',
    'Made from the schema (`northstate schema manifest`). `*` is any name. Without a default a field that is left out gives nothing. `northstate lint` says with line and column what is wrong in a manifest.',
    'manifest',
  ],
  [
    'src/config/settings.md',
    'Every setting',
    'Of `/etc/northstate/config.yaml`; made from the schema (`northstate schema configuration`). `northstate config` prints what is in force. `*` is any name. Durations are numbers with `ms`, `s`, `m`, `h` or `d`; sizes are bytes, or numbers with `k M G T Ki Mi Gi Ti`.',
    'configuration',
  ],
] as const;

for (const [file, title, introduction, kind] of references)
  test(`${file} says what the schema says`, () => {
    const path = new URL(`../../../${file}`, import.meta.url);
    const made = referenceOf(title, introduction, schemas[kind]());
    if (process.env['NORTHSTATE_WRITE_REFERENCE'] === '1') writeFileSync(path, made);
    assert.equal(readFileSync(path, 'utf8'), made);
  });

test('the tables of the document name every field of an entry, a repository and the document', () => {
  const readme = readFileSync(new URL('../../../state/README.md', import.meta.url), 'utf8');
  const named = [...readme.matchAll(/^\| (`[^|]+) \|/gm)].map(([, cell = '']) => cell).join(' ');
  const top = [...propertiesOf(schemas.document()).values()]
    .map(({ path }) => path)
    .filter((path) => path.length === 3 || path.length === 1);
  const missing = top
    .map((path) => path.at(-1) ?? '')
    .filter((name) => !named.includes(name) && !['apiVersion', 'containers', 'repositories'].includes(name));
  assert.deepEqual(missing, []);
});
