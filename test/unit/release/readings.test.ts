// What people read beside the READMEs is true: messages exist, tags are all there, settings are settings.
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { checkConfiguration } from '../../../src/config/config-schema.ts';
import { jsonSchemaOf } from '../../../state/schema/document-schema.ts';
import { manifestSchema } from '../../../state/schema/manifest.ts';
import type { JsonSchema } from '../../../state/schema/describe-schema.ts';

const root = new URL('../../../', import.meta.url).pathname;
const read = (path: string): string => readFileSync(`${root}${path}`, 'utf8');

test('every message of the troubleshooting is in the sources', () => {
  const sources = globSync('{src,state,controllers,native}/**/*.{ts,c}', { cwd: root }).map(read).join('\n');
  const plain = sources.replaceAll("\\'", "'");
  const messages = [...read('src/cli/troubleshooting.md').matchAll(/^- `([^`]+)`/gm)].map(
    ([, message = '']) => message,
  );
  assert.ok(messages.length > 15);
  const parts = messages.flatMap((message) => message.split('…').map((part) => part.trim()));
  assert.deepEqual(
    parts.filter((part) => part !== '' && !plain.includes(part)),
    [],
  );
});

test('the settings for editors name every tag of a manifest', () => {
  const [, json = ''] = /```json\n([\s\S]*?)```/.exec(read('state/schema/README.md')) ?? [];
  const { 'yaml.customTags': tags } = JSON.parse(json) as { 'yaml.customTags': string[] };
  assert.deepEqual(
    tags.map((tag) => tag.split(' ')[0]),
    [...variantsOf(jsonSchemaOf(manifestSchema))].sort().map((name) => `!${name}`),
  );
});

/** Objects with one member that stand for a tag with content. */
function variantsOf(schema: JsonSchema): Set<string> {
  const { properties = {}, additionalProperties, items, anyOf = [], oneOf = [] } = schema;
  const found = new Set<string>();
  for (const each of [...anyOf, ...oneOf]) {
    const [name, ...more] = Object.keys(each.properties ?? {});
    const isVariant = name !== undefined && more.length === 0 && each.additionalProperties === false;
    if (isVariant && each.required?.includes(name) === true) found.add(name);
  }
  const inside = [
    ...Object.values(properties),
    ...(typeof additionalProperties === 'object' ? [additionalProperties] : []),
  ];
  for (const part of [...inside, ...(items === undefined ? [] : [items]), ...anyOf, ...oneOf])
    for (const name of variantsOf(part)) found.add(name);
  return found;
}

test('the directories of choice in the README are settings', () => {
  const [, yaml = ''] = /```yaml\n(desired: [\s\S]*?)```/.exec(read('README.md')) ?? [];
  assert.equal(checkConfiguration(yaml, 'config.yaml').runDir, '/srv/try/run');
});

test('the documents among the examples name their schema for editors', () => {
  for (const file of ['first.yaml', 'desired.yaml'])
    assert.match(
      read(`examples/${file}`),
      /^# yaml-language-server: \$schema=\.\.\/\.build\/schemas\/document\.json\n/,
    );
});
