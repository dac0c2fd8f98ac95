// Device nodes in an erofs image are made in a staging directory, which needs CAP_MKNOD.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { pack } from '../../src/npk/pack.ts';
import { readPackage } from '../../src/npk/package.ts';
import { run } from '../command.ts';

test('an erofs image has the device nodes and mount points of its manifest', async () => {
  const work = await mkdtemp(join(tmpdir(), 'northstate-erofs-'));
  try {
    const manifest = join(work, 'manifest.yaml');
    const mounts = 'mounts: { /dev: { type: dev }, /proc: { type: proc } }';
    await writeFile(manifest, `name: a\nversion: 1.0.0\ninit: /app\nuid: 1000\ngid: 1001\n${mounts}\n`);
    const { path } = await pack({ manifest, out: work, fs: 'erofs' });
    const { image } = await readPackage(path);
    const file = join(work, 'fs.img');
    await writeFile(file, (await readFile(path)).subarray(image.offset, image.offset + image.size));

    const shown = async (name: string): Promise<string> => (await run('dump.erofs', [`--path=${name}`, file])).stdout;
    assert.match(await shown('/dev/tty'), /char dev\n[^]*Uid: 1000 +Gid: 1001 +Access: 0666/);
    assert.match(await shown('/dev/fd'), /symlink file/);
    assert.match(await shown('/dev'), /Access: 0755/);
    assert.match(await shown('/proc'), /Access: 0444/);
  } finally {
    await rm(work, { recursive: true });
  }
});
