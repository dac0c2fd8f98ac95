// The commands about package files, as people and scripts call them.
import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { hostArchitecture } from '../../../src/npk/program/architecture.ts';
import { scratchDirectory } from '../../support/console/scratch.ts';
import { elfFile } from '../npk/program/elf-files.ts';
import { northstate, type Outcome } from './command-line.ts';

const manifest = 'name: app\nversion: 1.2.3\ninit: /app\nuid: 1000\ngid: 1001\n';

interface Shop {
  readonly dir: string;
  run(...args: readonly string[]): Promise<Outcome>;
  /** Runs a command that must succeed; gives what it printed. */
  ok(...args: readonly string[]): Promise<string>;
}

/** A directory with a manifest, a root and a pair of keys. */
async function shop(context: TestContext): Promise<Shop> {
  const dir = await scratchDirectory(context);
  await writeFile(join(dir, 'manifest.yaml'), manifest);
  await mkdir(join(dir, 'root'));
  // All that pack asks of a program is its head.
  const program = elfFile({ machine: hostArchitecture?.machine ?? 0 });
  const application = Buffer.concat([program, Buffer.from('an application\n'.repeat(1000))]);
  await writeFile(join(dir, 'root/app'), application, { mode: 0o755 });
  const run = (...args: readonly string[]): Promise<Outcome> =>
    northstate(
      context,
      'unix:///nowhere/console',
      args.map((arg) => arg.replace(/^\.\//, `${dir}/`)),
    );
  const ok = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await run(...args);
    assert.deepEqual([code, stderr], [0, ''], args.join(' '));
    return stdout;
  };
  await ok('gen-key', '-n', 'me', '-o', './');
  return { dir, run, ok };
}

test('gen-key makes a secret file and a public one, and never overwrites', async (context) => {
  const { dir, run } = await shop(context);
  const [secret, shared] = await Promise.all([stat(join(dir, 'me.key')), stat(join(dir, 'me.pub'))]);
  assert.deepEqual([secret.size, secret.mode & 0o777], [32, 0o600]);
  assert.deepEqual([shared.size, shared.mode & 0o777], [32, 0o644]);
  const again = await run('gen-key', '-n', 'me', '-o', './');
  assert.equal(again.code, 1);
  assert.match(again.stderr, /me\.key/);
  await writeFile(join(dir, 'half.pub'), '');
  assert.equal((await run('gen-key', '-n', 'half', '-o', './')).code, 1);
  assert.ok(!(await readdir(dir)).includes('half.key'));
  assert.equal((await run('gen-key', '-n', '../me', '-o', './')).code, 2);
});

test('a package that was packed with a key is verified with it, and with no other', async (context) => {
  const { dir, run, ok } = await shop(context);
  const packed = await ok('pack', '-m', './manifest.yaml', '-r', './root', '-k', './me.key', '-o', './');
  assert.equal(packed, `${dir}/app-1.2.3.npk\n`);
  assert.match(
    await ok('verify', './app-1.2.3.npk', '--key', './me.pub'),
    /app-1\.2\.3\.npk: app:1\.2\.3 is good, signed with key [0-9a-f]{16}, \d+ data blocks verified\n$/,
  );
  assert.match(await ok('verify', './app-1.2.3.npk'), /as far as can be told without --key: it is signed\n$/);
  await ok('gen-key', '-n', 'other', '-o', './');
  const other = await run('verify', './app-1.2.3.npk', '--key', './other.pub');
  assert.equal(other.code, 1);
  assert.match(other.stderr, /^northstate: signature: .*app-1\.2\.3\.npk: [^\n]+\n$/);
  await ok('verify', './app-1.2.3.npk', '--key', './other.pub', '--key', './me.pub');
});

test('verify -o json names the class of the fault, and what was verified', async (context) => {
  const { dir, run, ok } = await shop(context);
  await ok('pack', '-m', './manifest.yaml', '-r', './root', '-k', './me.key', '-o', './a.npk', '-c', 'none');
  const good = JSON.parse(await ok('verify', './a.npk', '--key', './me.pub', '-o', 'json')) as Record<string, unknown>;
  assert.deepEqual(
    [good['ok'], good['fault'], good['name'], good['version'], good['signed']],
    [true, null, 'app', '1.2.3', true],
  );
  const bytes = await readFile(join(dir, 'a.npk'));
  bytes[4096 + 5000] = (bytes[4096 + 5000] ?? 0) ^ 1;
  await writeFile(join(dir, 'b.npk'), bytes);
  const bad = await run('verify', './b.npk', '--key', './me.pub', '-o', 'json');
  assert.deepEqual([bad.code, bad.stderr], [1, '']);
  const { ok: isGood, fault, message } = JSON.parse(bad.stdout) as Record<string, unknown>;
  assert.deepEqual([isGood, fault], [false, 'image']);
  assert.match(String(message), /data block 1 /);
  // Without a key there is still the archive's checksum.
  const { stdout } = await run('verify', './b.npk', '-o', 'json');
  assert.equal((JSON.parse(stdout) as { fault: string }).fault, 'archive');
});

test('an image that is there already is taken as it is', async (context) => {
  const { dir, run, ok } = await shop(context);
  await ok('pack', '-m', './manifest.yaml', '-r', './root', '-o', './a.npk', '-c', 'xz');
  const { image } = JSON.parse(await ok('inspect', './a.npk', '-o', 'json')) as {
    image: { offset: number; size: number };
  };
  const fsImage = (await readFile(join(dir, 'a.npk'))).subarray(image.offset, image.offset + image.size);
  await writeFile(join(dir, 'fs.img'), Buffer.concat([fsImage, Buffer.from('appended')]));
  await ok('pack', '-m', './manifest.yaml', '--image', './fs.img', '-o', './b.npk');
  assert.deepEqual(await readFile(join(dir, 'b.npk')), await readFile(join(dir, 'a.npk')));
  const both = await run('pack', '-m', './manifest.yaml', '--image', './fs.img', '-r', './root', '-o', './c.npk');
  assert.deepEqual([both.code, both.stderr], [2, 'northstate: --image and --root exclude each other\n']);
  const none = await run('pack', '-m', './manifest.yaml', '--image', './manifest.yaml', '-o', './c.npk');
  assert.equal(none.code, 1);
  assert.match(none.stderr, /neither a squashfs nor an erofs image/);
});

test('clones have numbered names of one width and share the image', async (context) => {
  const { dir, run, ok } = await shop(context);
  const paths = await ok(
    'pack',
    '-m',
    './manifest.yaml',
    '-r',
    './root',
    '-k',
    './me.key',
    '-o',
    './',
    '--clones',
    '11',
  );
  assert.equal(paths.split('\n')[0], `${dir}/app-00-1.2.3.npk`);
  assert.equal(paths.split('\n')[10], `${dir}/app-10-1.2.3.npk`);
  assert.match(await ok('verify', './app-07-1.2.3.npk', '--key', './me.pub'), /app-07:1\.2\.3 is good/);
  const file = await run('pack', '-m', './manifest.yaml', '-o', './one.npk', '--clones', '2');
  assert.equal(file.code, 1);
  assert.match(file.stderr, /one\.npk is no directory/);
});

test('unpack writes manifest, signature and files, verified first when a key is given', async (context) => {
  const { dir, run, ok } = await shop(context);
  for (const fs of ['squashfs', 'erofs']) {
    await ok('pack', '-m', './manifest.yaml', '-r', './root', '-k', './me.key', '-o', `./${fs}.npk`, '--fs', fs);
    assert.equal(await ok('unpack', '-n', `./${fs}.npk`, '-o', `./${fs}`, '-k', './me.pub'), `${dir}/${fs}\n`);
    assert.deepEqual(await readdir(join(dir, fs)), ['manifest.yaml', 'root', 'signature.yaml']);
    assert.deepEqual(await readFile(join(dir, fs, 'root/app')), await readFile(join(dir, 'root/app')));
  }
  const full = await run('unpack', './squashfs.npk', '-o', './erofs');
  assert.equal(full.code, 1);
  assert.match(full.stderr, /erofs is not empty/);
  await mkdir(join(dir, 'empty'));
  await ok('unpack', './squashfs.npk', '-o', './empty');
  assert.equal((await run('unpack', '-o', './none')).code, 2);
});

test('progress is shown where it is asked for, and nowhere else', async (context) => {
  const { run } = await shop(context);
  const pack = ['pack', '-m', './manifest.yaml', '-r', './root', '-k', './me.key', '-o', './'];
  assert.equal((await run(...pack)).stderr, '');
  const { stderr } = await run(...pack, '--progress');
  for (const step of ['image', 'hash tree', 'package']) assert.match(stderr, new RegExp(`^${step} 100%$`, 'm'));
  for (const command of [['verify'], ['unpack', '-o', './out']]) {
    const { stderr: said } = await run(...command, './app-1.2.3.npk', '-k', './me.pub', '--progress');
    assert.match(said, /^verify 100%$/m);
  }
});

test('a package is not made with a field that is not known, unless that is allowed', async (context) => {
  const { dir, run } = await shop(context);
  await writeFile(join(dir, 'manifest.yaml'), `${manifest}cgroups: { memory: { limit: 100MB } }\n`);
  const pack = ['pack', '-m', './manifest.yaml', '-r', './root', '-o', './'];
  const refused = await run(...pack);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /manifest\.yaml:6:22: cgroups\.memory\.limit: there is no such field/);
  const allowed = await run(...pack, '--allow-unknown');
  assert.equal(allowed.code, 0);
  assert.match(
    allowed.stderr,
    /^northstate: .*manifest\.yaml:6:22: warning: cgroups\.memory\.limit: there is no such field.*\n$/,
  );
});

test('an init that the image lacks is a warning, one below a mount is not looked for', async (context) => {
  const { dir, run } = await shop(context);
  const packed = async (init: string, ...args: readonly string[]): Promise<string> => {
    await writeFile(join(dir, 'manifest.yaml'), `${manifest.replace('/app', init)}mounts: { /lib: { host: /lib } }\n`);
    const { code, stderr } = await run('pack', '-m', './manifest.yaml', '-o', './', ...args);
    assert.equal(code, 0, stderr);
    return stderr.replace(/northstate: .*: warning: mounts: a mount says its type.*\n/, '').replaceAll(dir, '.');
  };
  await symlink('/app', join(dir, 'root/link'));
  await symlink('../../../app', join(dir, 'root/beyond'));
  await symlink('circle', join(dir, 'root/circle'));
  await writeFile(join(dir, 'root/text'), '');
  for (const init of ['/app', 'app', '/link', '/beyond', '/lib/program'])
    assert.equal(await packed(init, '-r', './root'), '');
  assert.match(
    await packed('/ap', '-r', './root'),
    /^northstate: \.\/manifest\.yaml:3:1: warning: init: \/ap is missing: it is not in \.\/root, and no mount brings it\n$/,
  );
  assert.match(await packed('/app/x', '-r', './root'), /\/app\/x is missing/);
  assert.match(await packed('/text', '-r', './root'), /\/text is not executable: chmod \+x it/);
  assert.match(await packed('/circle', '-r', './root'), /from link to link/);
  assert.match(await packed('/app'), /\/app is missing: there is no root directory/);
});

test('a compression that the program does not offer is an error that lists what it does', async (context) => {
  const { run } = await shop(context);
  const { code, stderr } = await run('pack', '-m', './manifest.yaml', '-o', './', '--fs', 'erofs', '-c', 'lzo');
  assert.equal(code, 1);
  assert.match(stderr, /mkfs\.erofs offers no compression lzo, only: .*lz4/);
});

test('the words of other packers are understood', async (context) => {
  const { dir, run, ok } = await shop(context);
  const packed = await ok('pack', '--manifest-path', './manifest.yaml', '-r', './root', '-o', './');
  assert.equal(packed, `${dir}/app-1.2.3.npk\n`);
  const missing = await run('unpack', './app-1.2.3.npk', '-o', './out', '--unsquashfs', './none');
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /\/none cannot be run: is it installed\?/);
  for (const words of [
    ['-o', './'],
    ['-m', './manifest.yaml', '--manifest-path', './manifest.yaml', '-o', './'],
  ]) {
    const { code, stderr } = await run('pack', ...words);
    assert.equal(code, 2);
    assert.match(stderr, /^northstate: expected one manifest: northstate pack --manifest FILE --out PATH \(.*\)\n$/);
  }
});

test('a program that makes images can be named, and one that is missing is said to be', async (context) => {
  const { run } = await shop(context);
  const { code, stderr } = await run('pack', '-m', './manifest.yaml', '-o', './', '--mksquashfs', './none');
  assert.equal(code, 1);
  assert.match(stderr, /\/none cannot be run: is it installed\?/);
});
