// Packages from before 0.9, which Northstar refuses today.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Manifest, SeccompRule } from '../../state/schema/manifest.ts';
import { createHasher } from '../../src/npk/image/hasher.ts';
import { inspect } from '../../src/npk/inspect-package.ts';
import { readKeys } from '../../src/npk/signature/keys.ts';
import { openPackage, readPackage } from '../../src/npk/open-package.ts';
import { verifyPackage } from '../../src/npk/verify-package.ts';
import { assertManifest, expected, fixture, packagesIn } from './npk-fixtures.ts';

interface Expected {
  readonly seccomp?: { readonly allow: Readonly<Record<string, string>> };
}

const answers = expected('old-dialect.json') as Readonly<Record<string, Expected>>;
// `~PROT_EXEC || ~PROT_WRITE`: the one bit or the other must not be set.
const alternatives: SeccompRule = {
  args: [
    { index: 2, mask: 2n ** 64n - 1n - 4n },
    { index: 2, mask: 2n ** 64n - 1n - 2n },
  ],
};

/** The manifest without the rules whose present form the fixtures leave open. */
function withoutOpen(manifest: Manifest, { seccomp }: Expected): Manifest {
  if (manifest.seccomp === undefined) return manifest;
  const allow = new Map(manifest.seccomp.allow);
  for (const [call, rule] of Object.entries(seccomp?.allow ?? {})) {
    if (rule !== '<OPEN>') continue;
    assert.deepEqual(allow.get(call), alternatives);
    allow.delete(call);
  }
  return { ...manifest, seccomp: { ...manifest.seccomp, allow } };
}

function closed(wanted: Expected): Expected {
  if (wanted.seccomp === undefined) return wanted;
  const rules = Object.entries(wanted.seccomp.allow).filter(([, rule]) => rule !== '<OPEN>');
  return { ...wanted, seccomp: { allow: Object.fromEntries(rules) } };
}

for (const name of packagesIn('npk-old')) {
  test(`${name} is read in today's dialect`, async () => {
    const found = await readPackage(fixture(name));
    const wanted = answers[found.name];
    assert.ok(wanted !== undefined, `there is no answer for ${found.name}`);
    assert.equal(found.format, 'old');
    assertManifest(withoutOpen(found.manifest, wanted), closed(wanted));
    assert.equal(found.deprecations.length > 0, found.manifest.init !== undefined);
    assert.deepEqual(found.logs.get('stdout')?.tag, found.manifest.io === undefined ? undefined : 'old');
  });
}

test('the older signature is read', async () => {
  const { signature, verity, archive } = await inspect(fixture('npk-old/old-signed-0.1.0.npk'));
  assert.ok(signature !== null && 'hashes' in signature);
  assert.ok(verity !== null && 'uuid' in verity);
  assert.deepEqual(archive.entries, ['signature.yaml', 'manifest.yaml', 'fs.img']);
  assert.deepEqual(
    [signature.key, signature.hashes.comment, signature.verity.offset],
    ['northstar', null, verity.offset],
  );
  assert.match(signature.hashes.image ?? '', /^[0-9a-f]{64}$/);
});

test('the older signature is verified, and with it the hash of the whole image', async () => {
  await using hasher = createHasher(1);
  const path = fixture('npk-old/old-signed-0.1.0.npk');
  const keys = await readKeys(fixture('keys/fixture.pub'));
  const { key, verity } = await verifyPackage(path, { keys, hasher });
  assert.ok(key !== null && verity !== null);
  await assert.rejects(verifyPackage(path, { keys: await readKeys(fixture('keys/other.pub')), hasher }), {
    reason: 'signature',
  });

  // Behind the tree nothing is hashed but by the hash over all.
  const { package: found, handle } = await openPackage(path, { keys });
  await handle.close();
  const bytes = await readFile(path);
  const { image, verified } = found;
  const at = image.offset + (verified?.tree.superblockOffset ?? 0) + 600;
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  const work = await mkdtemp(join(tmpdir(), 'northstate-old-'));
  try {
    await writeFile(join(work, 'a.npk'), bytes);
    await assert.rejects(verifyPackage(join(work, 'a.npk'), { keys, hasher }), { reason: 'image' });
  } finally {
    await rm(work, { recursive: true });
  }
});
