// The JSON Schema of manifests accepts what readers accept, in every syntax, and refuses what a schema can refuse.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { extname, parse } from 'node:path';
import { test } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { parse as parseToml } from 'smol-toml';
import { parse as parseYaml } from 'yaml';
import { manifestJsonSchema } from '../../src/npk/manifest/manifest-schema.ts';
import { readManifest } from '../../src/npk/manifest/read-manifest.ts';
import { manifestForInspect } from '../../src/npk/manifest/manifest-json.ts';
import { fixture, refused } from './npk-fixtures.ts';

const validate = new Ajv2020({ strict: false }).compile(manifestJsonSchema());
const base = { name: 'a', version: '1.0.0', init: '/a', uid: 1, gid: 1 };

/** As an editor sees the text: in YAML a tag is passed over. */
function plain(name: string, text: string): unknown {
  if (extname(name) === '.json') return JSON.parse(text);
  return extname(name) === '.toml' ? parseToml(text) : parseYaml(text, { logLevel: 'silent' });
}

for (const name of readdirSync(fixture('manifests')).filter((file) => !refused.has(parse(file).name))) {
  test(`${name} is valid, as it is written and in the form of inspect`, async () => {
    const bytes = readFileSync(fixture('manifests', name));
    assert.ok(validate(plain(name, bytes.toString())), JSON.stringify(validate.errors));
    const { manifest } = await readManifest(bytes, { old: false });
    const shown: unknown = JSON.parse(JSON.stringify(manifestForInspect(manifest)));
    assert.ok(validate(shown), JSON.stringify(validate.errors));
  });
}

const invalid: Readonly<Record<string, object>> = {
  'an unknown field': { colour: 'blue' },
  'uid 0': { uid: 0 },
  'a version that is a number': { version: 1 },
  'a name with a slash': { name: 'a/b' },
  'an unknown kind of mount': { mounts: { '/a': { type: 'nfs' } } },
  'a tmpfs without a size': { mounts: { '/a': { type: 'tmpfs' } } },
  'an unknown capability': { capabilities: ['CAP_FLY'] },
  'a priority of 100': { sched: { policy: { fifo: { priority: 100 } } } },
  'a socket without a mode': { sockets: { a: { type: 'stream' } } },
  'half of io': { io: { stdout: 'pipe' } },
  'an argument that no call has': { seccomp: { allow: { read: { args: { index: 6, mask: 1 } } } } },
};

for (const [what, fields] of Object.entries(invalid)) {
  test(`${what} is invalid to the schema and to the reader`, async () => {
    const manifest = { ...base, ...fields };
    assert.ok(!validate(manifest));
    await assert.rejects(readManifest(Buffer.from(JSON.stringify(manifest)), { old: false }));
  });
}

test('plain scalars are texts, and null is absent', async () => {
  const manifest = { ...base, name: 123, args: [1, true], env: { A: 1.5 }, autostart: null, network: null };
  assert.ok(validate(manifest), JSON.stringify(validate.errors));
  await readManifest(Buffer.from(JSON.stringify(manifest)), { old: false });
});
