import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import yauzl from 'yauzl';
import { inspect } from '../../../src/npk/inspect-package.ts';
import { compressions } from '../../../src/npk/image/make-image.ts';
import { manifestYaml } from '../../../src/npk/manifest/manifest-yaml.ts';
import { readManifest } from '../../../src/npk/manifest/read-manifest.ts';
import { pack, type PackOptions } from '../../../src/npk/pack.ts';
import { readPackage } from '../../../src/npk/open-package.ts';

const run = promisify(execFile);
let work = '';

before(async () => {
  work = await mkdtemp(join(tmpdir(), 'northstate-pack-test-'));
  await mkdir(join(work, 'out'));
  await mkdir(join(work, 'root/etc'), { recursive: true });
  await writeFile(join(work, 'root/app'), 'an application');
  await chmod(join(work, 'root/app'), 0o755);
  await chmod(join(work, 'root/etc'), 0o700);
  await symlink('etc', join(work, 'root/link'));
});
after(() => rm(work, { recursive: true }));

const minimal = 'name: a\nversion: 1.0.0\ninit: /app\nuid: 1000\ngid: 1001\n';

/** Packs a manifest with the root directory; gives the file's path. */
async function packed(fields: string, options: Partial<PackOptions> = {}): Promise<string> {
  const manifest = join(work, 'manifest.yaml');
  await writeFile(manifest, minimal + fields);
  return (await pack({ manifest, root: join(work, 'root'), out: join(work, 'out'), ...options })).path;
}

/** The lines of `unsquashfs -lln` without sizes of directories and times. */
async function files(path: string): Promise<string[]> {
  const { image } = await readPackage(path);
  const bytes = await readFile(path);
  await writeFile(join(work, 'fs.img'), bytes.subarray(image.offset, image.offset + image.size));
  const { stdout } = await run('unsquashfs', ['-lln', join(work, 'fs.img')]);
  return stdout
    .trim()
    .split('\n')
    .map((line) =>
      line.replace(/ +(\d+,)? +(\d+) \d{4}-\d\d-\d\d \d\d:\d\d squashfs-root/, (_, major?: string, minor?: string) =>
        major === undefined ? ' ' : ` ${major}${minor} `,
      ),
    );
}

test('a package is named after its manifest, and read back', async () => {
  const path = await packed('');
  assert.equal(path, join(work, 'out/a-1.0.0.npk'));
  const { name, version, format, image, signed, manifest } = await readPackage(path);
  assert.deepEqual({ name, version, format, signed }, { name: 'a', version: '1.0.0', format: '0.9.2', signed: false });
  assert.deepEqual([image.type, image.offset, image.size % 4096], ['squashfs', 4096, 0]);
  assert.deepEqual(manifest, (await readManifest(Buffer.from(minimal), { old: false })).manifest);
});

test('other readers find two stored entries, the comment and the alignment in both headers', async () => {
  const path = await packed('');
  const zip = await yauzl.openPromise(path);
  assert.ok((await readFile(path)).toString('latin1').endsWith('\x0f\0version: 0.9.2\n'));
  const entries = [];
  for await (const entry of zip.eachEntry()) entries.push(entry);
  assert.deepEqual(
    entries.map(({ fileName, compressionMethod }) => [fileName, compressionMethod]),
    [
      ['manifest.yaml', 0],
      ['fs.img', 0],
    ],
  );
  const [field] = entries[1]!.extraFields;
  assert.deepEqual([field?.id, field?.data.readUInt16LE(0)], [0xa11e, 4096]);
  assert.ok(field!.data.subarray(2).every((byte) => byte === 0));
  const local = (await readFile(path)).subarray(entries[1]!.relativeOffsetOfLocalHeader);
  assert.equal(local.readUInt16LE(30 + 'fs.img'.length), 0xa11e);
});

test('every file belongs to the container, and mount points are made with their modes', async () => {
  const path = await packed(`mounts:
  /proc: { type: proc }
  /sys: { type: sysfs }
  /host/ro: { type: bind, host: / }
  /host/rw: { type: bind, host: /, options: rw }
  /data/a b: { type: persist }
  /tmp: { type: tmpfs, size: 1 }
  /sockets: { type: sockets }
  /deep/er/r: { type: resource, name: r, version: '1', dir: / }
  /kernel/proc: { type: proc }
  /etc: { type: bind, host: /etc }
`);
  assert.deepEqual(await files(path), [
    'drwxr-xr-x 1000/1001 ',
    '-rwxr-xr-x 1000/1001 /app',
    'drwxr-xr-x 1000/1001 /data',
    'drwxr-xr-x 1000/1001 /data/a b',
    'dr-xr-xr-x 1000/1001 /deep',
    'dr-xr-xr-x 1000/1001 /deep/er',
    'dr-xr-xr-x 1000/1001 /deep/er/r',
    'drwx------ 1000/1001 /etc',
    'dr-xr-xr-x 1000/1001 /host',
    'dr-xr-xr-x 1000/1001 /host/ro',
    'drwxr-xr-x 1000/1001 /host/rw',
    'dr-xr-xr-x 1000/1001 /kernel',
    'dr--r--r-- 1000/1001 /kernel/proc',
    'lrwxrwxrwx 1000/1001 /link -> etc',
    'dr--r--r-- 1000/1001 /proc',
    'drwxr-xr-x 1000/1001 /sockets',
    'dr--r--r-- 1000/1001 /sys',
    'drwxr-xr-x 1000/1001 /tmp',
  ]);
});

test('a dev mount has its device nodes, and with /proc its links', async () => {
  const nodes = ['full', 'null', 'random', 'tty', 'urandom', 'zero'];
  const numbers = ['1,7', '1,3', '1,8', '5,0', '1,9', '1,5'];
  const devices = nodes.map((name, index) => `crw-rw-rw- 1000/1001 ${numbers[index]} /dev/${name}`);
  const found = async (fields: string): Promise<string[]> =>
    (await files(await packed(fields, { root: null }))).filter((line) => line.includes('/dev/'));
  assert.deepEqual(await found('mounts: { /dev: { type: dev } }'), devices);
  const both = await found('mounts: { /dev: { type: dev }, /proc: { type: proc } }');
  assert.deepEqual(
    both.filter((line) => line.startsWith('c')),
    devices,
  );
  assert.deepEqual(
    both.filter((line) => line.startsWith('l')).map((line) => line.replace(/^\S+ \S+ /, '')),
    [
      '/dev/fd -> /proc/self/fd',
      '/dev/stderr -> /proc/self/fd/2',
      '/dev/stdin -> /proc/self/fd/0',
      '/dev/stdout -> /proc/self/fd/1',
    ],
  );
});

test('the same input gives the same bytes, at any time', async () => {
  const fields = 'mounts: { /dev: { type: dev }, /x/y: { type: persist } }';
  const first = await readFile(await packed(fields));
  await writeFile(join(work, 'root/app'), 'an application');
  assert.deepEqual(await readFile(await packed(fields)), first);
  process.env['SOURCE_DATE_EPOCH'] = '1000000000';
  try {
    assert.notDeepEqual(await readFile(await packed(fields)), first);
  } finally {
    delete process.env['SOURCE_DATE_EPOCH'];
  }
});

test('a signed package is the same bytes for the same files, whatever order and time they were made in', async () => {
  const key = join(work, 'seed.key');
  await writeFile(key, Buffer.alloc(32, 7));
  const names = Array.from({ length: 40 }, (_, index) => `d${index % 5}/f${index}`);
  const source = async (root: string, order: readonly string[]): Promise<string> => {
    for (const name of order) {
      await mkdir(join(work, root, name, '..'), { recursive: true });
      await writeFile(join(work, root, name), name.repeat(3000));
      await utimes(join(work, root, name), order.length, root.length);
    }
    return join(work, root);
  };
  const one = await source('one', names);
  const other = await source('other', names.toReversed());
  for (const how of [
    {},
    { compression: 'zstd' },
    { fs: 'erofs' },
    { fs: 'erofs', aligned: true },
    { fs: 'erofs', compression: 'lz4' },
  ] as const) {
    const [first, second] = [await packed('', { root: one, key, ...how }), join(work, 'second.npk')];
    await packed('', { root: other, key, out: second, ...how });
    assert.ok((await readFile(first)).equals(await readFile(second)), JSON.stringify(how));
  }
});

test('salt and UUID are those that are given', async () => {
  const key = join(work, 'seed.key');
  await writeFile(key, Buffer.alloc(32, 7));
  const [salt, uuid] = ['AB01', '01234567-89ab-cdef-0123-456789ABCDEF'];
  const { verity } = await inspect(await packed('', { key, salt, uuid }));
  assert.ok(verity !== null && 'salt' in verity);
  assert.deepEqual([verity.salt, verity.uuid], [salt.toLowerCase(), uuid.toLowerCase()]);
  await assert.rejects(packed('', { key, salt: 'abc' }), /a salt is up to 256 bytes as hexadecimal digits/);
  await assert.rejects(packed('', { key, uuid: 'x' }), /"x" is no UUID/);
});

for (const compression of compressions) {
  test(`an image can be packed with compression ${compression}`, async () => {
    const { image } = await readPackage(await packed('', { compression, out: join(work, `${compression}.npk`) }));
    assert.equal(image.compression, compression === 'none' ? 'gzip' : compression);
  });
}

test('an image can be erofs', async () => {
  const out = join(work, 'erofs.npk');
  const path = await packed('mounts: { /proc: { type: proc } }', { fs: 'erofs', out });
  const bytes = await readFile(path);
  const { image } = await readPackage(path);
  assert.deepEqual([image.type, image.compression], ['erofs', 'none']);
  assert.deepEqual(await readFile(await packed('mounts: { /proc: { type: proc } }', { fs: 'erofs', out })), bytes);
  assert.equal(
    (await readPackage(await packed('', { fs: 'erofs', compression: 'lz4', out }))).image.compression,
    'lz4',
  );
});

test('a failure names its cause and leaves nothing behind', async () => {
  const before = await readdir(join(work, 'out'));
  const made = (await readdir(tmpdir())).filter((name) => name.startsWith('northstate-pack-'));
  await assert.rejects(packed('uid: 5\n'), {
    message: `${join(work, 'manifest.yaml')}:6:1: the key "uid" is there twice`,
  });
  await assert.rejects(packed('', { root: join(work, 'none') }), /mksquashfs failed \(exit code 1\).*none/s);
  await assert.rejects(
    packed('mounts: { /app/x: { type: dev } }'),
    /\/app in .* is no directory, but \/app\/x is needed in it/,
  );
  await assert.rejects(packed('', { blockSize: 1000 }), /mksquashfs failed/);
  await assert.rejects(
    packed('seccomp: { profile: default, allow: { mmap: !args [{ index: 2, mask: 1 }, { index: 2, mask: 2 }] } }'),
    /seccomp\.allow\.mmap: "arg2 in 0x1 \|\| arg2 in 0x2" cannot be written/,
  );
  await assert.rejects(packed('', { out: join(work, 'none/a.npk') }), /ENOENT/);
  assert.deepEqual(await readdir(join(work, 'out')), before);
  assert.deepEqual(
    (await readdir(tmpdir())).filter((name) => name.startsWith('northstate-pack-')),
    made,
  );
});

test('alternatives are written as the older dialect has them, and read again as they were', async () => {
  const seccomp =
    'seccomp: { read: 1, mmap: arg2 in ~PROT_EXEC || arg2 in ~PROT_WRITE || arg0 == 0, socket: arg0 == 1 }\n';
  const { manifest } = await readManifest(Buffer.from(minimal + seccomp), { old: false });
  const text = manifestYaml(manifest);
  assert.match(
    text,
    /seccomp:\n {2}read: '1'\n {2}mmap: 'arg0 == 0 \|\| arg2 in 0xfffffffffffffffb \|\| arg2 in 0xfffffffffffffffd'\n {2}socket: 'arg0 == 1'\n/,
  );
  assert.deepEqual((await readManifest(Buffer.from(text), { old: false })).manifest, manifest);
});

test('a manifest that is written and read again is the same', async () => {
  const fields = `console: { permissions: [ident] }
args: ['1', 'true', 'a b', '', "it's", "two\\nlines", 'ü', '- x', '~', 'a: b', '#', "\\e[1m"]
env: { 'A B': 'null', B: '1.50' }
sched: { policy: !round_robin { priority: 5 } }
network: !namespace blue
seccomp: { allow: { read: any, write: !args { index: 0, values: [18446744073709551615] } } }
selinux: { exec: a:b }
rlimits: { cpu: { soft: 1 } }
custom: { list: [1, [2, []], {}], 'yes': 'no', number: 1.5, nothing: null }
`;
  const { manifest } = await readManifest(Buffer.from(minimal + fields), { old: false });
  const text = manifestYaml(manifest);
  assert.deepEqual((await readManifest(Buffer.from(text), { old: false })).manifest, manifest);
  assert.deepEqual(text.match(/^\w+/gm), [
    'name',
    'version',
    'console',
    'init',
    'args',
    'env',
    'uid',
    'gid',
    'sched',
    'network',
    'seccomp',
    'selinux',
    'rlimits',
    'custom',
  ]);
});
