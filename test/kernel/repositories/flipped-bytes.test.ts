// What earlier boots have read of packages changes nothing about which are taken: whatever is done to a file, it is judged as if
// nothing had been kept.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { copyFile, mkdtemp, open, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { openPackageContents } from '../../../controllers/repositories/package-contents.ts';
import { createPackages } from '../../../controllers/repositories/package-reader.ts';
import type { PackageContent } from '../../../controllers/repositories/repository.ts';
import type { RepositoryEntry } from '../../../state/desired.ts';
import { messageOf } from '../../../state/errno.ts';
import { bulk, keyPair, probePackage } from '../../support/packages.ts';
import { patience } from '../../support/patience.ts';

const right = await keyPair('first');
const wrong = await keyPair('second');
const signed = await probePackage({ name: 'app', key: 'first', files: { bulk: bulk(600_000) } });

function entry(dir: string, keys: readonly string[]): RepositoryEntry {
  const capacity = { containers: null, size: null };
  return { id: 'system', type: 'fs', dir, keys, mountOnStart: false, capacity, integrity: 'dm-verity' };
}

/** A boot: what it reads of files, or why it refuses them, and how many of them it knew. */
async function boot(file: string, dir: string, keys: readonly string[]) {
  const contents = openPackageContents({ file, owner: 0, build: 'b', log: { debug: () => undefined } });
  let known = 0;
  const counting: typeof contents = {
    ...contents,
    async find(...asked) {
      const found = await contents.find(...asked);
      if (found !== null) known += 1;
      return found;
    },
  };
  const reader = await createPackages(counting).openReader(entry(dir, keys));
  return {
    read: (path: string): Promise<PackageContent | string> => reader.read(path).catch(messageOf),
    known: () => known,
    async end(): Promise<void> {
      contents.settle(1);
      const late = performance.now() + patience;
      while (!existsSync(file)) {
        assert.ok(performance.now() < late, 'nothing is kept');
        await delay(20);
      }
    },
  };
}

test('whatever byte of a signed package is another one, it is judged as when nothing was kept', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'northstate-contents-'));
  try {
    const [file, path] = [join(dir, 'kept'), join(dir, 'app.npk')];
    await copyFile(signed, path);
    const first = await boot(file, dir, [right.public]);
    const whole = await first.read(path);
    assert.ok(typeof whole !== 'string' && whole.signed !== null, JSON.stringify(whole));
    await first.end();

    const anew = await createPackages().openReader(entry(dir, [right.public]));
    const again = await boot(file, dir, [right.public]);
    assert.deepEqual(await again.read(path), whole);
    assert.equal(again.known(), 1);

    // Everything at both ends, where all is that is looked at but for the tree, and of the rest some.
    const bytes = await readFile(path);
    const { atime, mtime } = await stat(path);
    const { offset } = whole.image;
    const tree = offset + whole.signed.tree.superblockOffset;
    await using handle = await open(path, 'r+');
    let refused = 0;
    for (
      let at = 0;
      at < bytes.length;
      at += at < offset + 200 || at > bytes.length - 700 ? 3 : at < tree ? 4001 : 97
    ) {
      await handle.write(Buffer.from([(bytes[at] ?? 0) ^ 1]), 0, 1, at);
      await utimes(path, atime, mtime);
      const judged = await again.read(path);
      assert.deepEqual(judged, await anew.read(path).catch(messageOf), `byte ${at}`);
      if (typeof judged === 'string') refused += 1;
      await handle.write(bytes, at, 1, at);
    }
    assert.ok(refused > 100, String(refused));

    const others = await boot(file, dir, [wrong.public]);
    assert.match(JSON.stringify(await others.read(path)), /not made with the key/);
    const unkeyed = await boot(file, dir, []);
    assert.deepEqual(await unkeyed.read(path), { ...whole, signed: null });
    assert.deepEqual([others.known(), unkeyed.known()], [0, 1]);
    await writeFile(path, bytes.subarray(0, bytes.length - 1));
    assert.match(JSON.stringify(await again.read(path)), /archive is broken/);
  } finally {
    await rm(dir, { recursive: true });
  }
});
