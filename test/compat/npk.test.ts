// Packages of Northstar's own packer, read as Northstar reads them.
import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { test } from 'node:test';
import { createHasher } from '../../src/npk/image/hasher.ts';
import { inspect, inspectShort } from '../../src/npk/inspect-package.ts';
import { readKeys } from '../../src/npk/signature/keys.ts';
import { readPackage } from '../../src/npk/open-package.ts';
import { verifyPackage } from '../../src/npk/verify-package.ts';
import { assertManifest, expected, fixture, packagesIn, refused } from './npk-fixtures.ts';

interface Expected {
  readonly container: string;
  readonly bytes: number;
  readonly comment: string;
  readonly entries: readonly string[];
  readonly fs_img: { readonly offset: number; readonly size: number };
  readonly squashfs: { readonly compression: string };
  readonly signature?: {
    readonly accepted_by: { readonly fixture: boolean; readonly other: boolean };
    readonly meta_hash: string;
    readonly manifest_hash: string;
    readonly verity_hash: string;
    readonly verity_offset: number;
  };
  readonly verity?: {
    readonly version: number;
    readonly hash_type: number;
    readonly algorithm: string;
    readonly data_block_size: number;
    readonly hash_block_size: number;
    readonly data_blocks: number;
    readonly salt: string;
    readonly uuid: string;
  };
  readonly short: string;
  readonly inspect: unknown;
}

const answers = expected('npk.json') as Readonly<Record<string, Expected>>;

test('every fixture has an answer to compare with', () => {
  assert.deepEqual(packagesIn('npk').sort(), Object.keys(answers).sort());
});

for (const name of refused) {
  test(`${name} is refused, though Northstar reads it`, async () => {
    await assert.rejects(readPackage(fixture(`npk/${name}-1.0.0.npk`)), {
      reason: 'path',
      message: /mounts\.\/shared\.dir: must not contain "\.\."$/,
    });
  });
}

for (const [name, wanted] of Object.entries(answers)) {
  if (refused.has(basename(name, '-1.0.0.npk'))) continue;
  test(`${name} is read as Northstar reads it`, async () => {
    const path = fixture(name);
    const found = await readPackage(path);
    assert.equal(`${found.name}:${found.version}`, wanted.container);
    assert.equal(`version: ${found.format}\n`, wanted.comment);
    assert.deepEqual(found.image, { ...wanted.fs_img, type: 'squashfs', compression: wanted.squashfs.compression });
    assert.equal(found.signed, wanted.signature !== undefined);
    assert.equal(found.identity.size, (await stat(path)).size);
    assert.deepEqual(found.deprecations, []);
    assertManifest(found.manifest, wanted.inspect);
  });

  test(`${name} is inspected as Northstar's tool does it`, async () => {
    const found = await inspect(fixture(name));
    assert.equal(inspectShort(found), wanted.short);
    assert.deepEqual(
      [found.archive.size, found.archive.comment, found.archive.entries],
      [wanted.bytes, wanted.comment, wanted.entries],
    );
    const { signature, verity } = found;
    assert.ok(signature === null || 'hashes' in signature);
    assert.ok(verity === null || 'uuid' in verity);
    assert.deepEqual(
      signature && [
        signature.hashes.comment,
        signature.hashes.manifest,
        signature.verity.rootHash,
        signature.verity.offset,
      ],
      wanted.signature
        ? [
            wanted.signature.meta_hash,
            wanted.signature.manifest_hash,
            wanted.signature.verity_hash,
            wanted.signature.verity_offset,
          ]
        : null,
    );
    assert.deepEqual(
      verity && {
        version: verity.version,
        hash_type: verity.hashType,
        algorithm: verity.algorithm,
        data_block_size: verity.dataBlockSize,
        hash_block_size: verity.hashBlockSize,
        data_blocks: verity.dataBlocks,
        salt: verity.salt,
        uuid: verity.uuid.replaceAll('-', ''),
      },
      wanted.verity
        ? (({ tree_bytes: _, ...rest }) => rest)(wanted.verity as Expected['verity'] & { tree_bytes: number })
        : null,
    );
  });
}

for (const [name, { signature }] of Object.entries(answers)) {
  test(`${name} is verified with the key that signed it, and with no other`, async () => {
    await using hasher = createHasher(1);
    for (const key of ['fixture', 'other'] as const) {
      const keys = await readKeys(fixture('keys', `${key}.pub`));
      const asked = verifyPackage(fixture(name), { keys, hasher });
      if (signature?.accepted_by[key] === true) assert.equal((await asked).verity?.rootHash, signature.verity_hash);
      else await assert.rejects(asked, { reason: 'signature' });
    }
  });
}
