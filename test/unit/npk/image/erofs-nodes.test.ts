// Device nodes in erofs images, and that packing needs no privilege.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { makeDeviceNodes } from '../../../../src/npk/image/erofs-nodes.ts';
import { readPackage } from '../../../../src/npk/open-package.ts';
import { entry } from '../../cli/command-line.ts';

// Rejects unless the program ends with 0.
const run = promisify(execFile);
let work = '';
before(async () => {
  work = await mkdtemp(join(tmpdir(), 'northstate-erofs-'));
});
after(() => rm(work, { recursive: true }));

/** Packs a manifest with /dev by the command line, without any capability; gives the image as a file. */
async function imageOf(fs: string, root: string): Promise<string> {
  const manifest = join(work, 'manifest.yaml');
  const mounts = 'mounts: { /dev: { type: dev }, /proc: { type: proc } }';
  await writeFile(manifest, `name: a\nversion: 1.0.0\ninit: /app\nuid: 1000\ngid: 1001\n${mounts}\n`);
  const path = join(work, `${fs}.npk`);
  const pack = [entry, 'pack', '-m', manifest, '-r', root, '-o', path, '--fs', fs];
  const isRoot = process.geteuid?.() === 0;
  const [command = '', ...args] = isRoot ? ['setpriv', '--bounding-set=-all', '--inh-caps=-all', ...pack] : pack;
  await run(command, args);
  const { image } = await readPackage(path);
  const file = join(work, `${fs}.img`);
  await writeFile(file, (await readFile(path)).subarray(image.offset, image.offset + image.size));
  return file;
}

async function rootWith(files: number): Promise<string> {
  const root = join(work, `root-${files}`);
  await mkdir(join(root, 'dev'), { recursive: true, mode: 0o755 });
  for (let i = 0; i < files; i++) await writeFile(join(root, 'dev', `${'file'.repeat(20)}-${i}`), String(i));
  return root;
}

for (const files of [0, 3, 300]) {
  test(`an erofs image has the device nodes of its manifest beside ${files} files, without a privilege`, async () => {
    const file = await imageOf('erofs', await rootWith(files));
    await run('fsck.erofs', [file]);
    const shown = async (name: string): Promise<string> => (await run('dump.erofs', [`--path=${name}`, file])).stdout;
    for (const name of ['full', 'null', 'random', 'tty', 'urandom', 'zero']) {
      assert.match(await shown(`/dev/${name}`), /char dev\n[^]*Uid: 1000 +Gid: 1001 +Access: 0666/);
    }
    assert.match(await shown('/dev/fd'), /symlink file/);
    assert.match(await shown('/dev'), /Access: 0755/);
    assert.match(await shown('/proc'), /Access: 0444/);
  });
}

test('a squashfs image is packed without a privilege, too', async () => {
  const file = await imageOf('squashfs', await rootWith(0));
  const { stdout } = await run('unsquashfs', ['-lln', file]);
  assert.match(stdout, /crw-rw-rw- 1000\/1001 +5, +0 .*\/dev\/tty\n/);
});

test('a node that the image has no empty file for is an error that names it', async () => {
  const file = await imageOf('erofs', await rootWith(3));
  const node = { type: 'device', mode: 0o666, major: 1, minor: 3 } as const;
  await assert.rejects(makeDeviceNodes(file, [{ ...node, path: '/dev/none' }]), /the erofs image has no \/dev\/none/);
  await assert.rejects(
    makeDeviceNodes(file, [{ ...node, path: `/dev/${'file'.repeat(20)}-1` }]),
    /file-1 in the erofs image is not empty/,
  );
});
