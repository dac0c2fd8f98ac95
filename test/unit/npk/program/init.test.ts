// What keeps an init from being started, told before there is a package.
import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { readManifest } from '../../../../src/npk/manifest/read-manifest.ts';
import { architectureNamed } from '../../../../src/npk/program/architecture.ts';
import { initProblems } from '../../../../src/npk/program/init.ts';
import { elfFile } from './elf-files.ts';

let root = '';
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'northstate-init-'));
});
afterEach(async () => {
  await rm(root, { recursive: true });
  await mkdir(root);
});
after(() => rm(root, { recursive: true }));

const aarch64 = architectureNamed('aarch64');
const loader = '/lib/ld-linux-aarch64.so.1';

async function file(path: string, content: Buffer | string, mode = 0o755): Promise<void> {
  await mkdir(dirname(join(root, path)), { recursive: true });
  await writeFile(join(root, path), content);
  await chmod(join(root, path), mode);
}

const program = (needed: readonly string[] = [], machine = 183): Buffer =>
  elfFile({ machine, needed, ...(needed.length > 0 && { interpreter: loader }) });
const library = (...needed: string[]): Buffer => elfFile({ machine: 183, needed });

async function problems(
  fields = 'init: /app',
  architecture = aarch64,
  mounts = 'mounts: { /proc: { type: proc } }\n',
): Promise<string[]> {
  const manifest = `name: a\nversion: 1.0.0\nuid: 1000\ngid: 1000\n${fields}\n${/^mounts:/m.test(fields) ? '' : mounts}`;
  const read = await readManifest(Buffer.from(manifest), { old: false });
  const found = await initProblems(read.manifest, { root, architecture });
  return found.map((problem) => problem.replaceAll(root, 'ROOT'));
}

test('a static program is all there, also through links and in a directory', async () => {
  await file('usr/bin/app', program());
  await symlink('usr/bin', join(root, 'bin'));
  await symlink('/bin/app', join(root, 'app'));
  assert.deepEqual(await problems(), []);
  assert.deepEqual(await problems('init: /usr/bin/../../bin/app'), []);
});

test('an init that is missing, a directory, not executable or no program', async () => {
  assert.deepEqual(await problems(), ['/app is missing: it is not in ROOT, and no mount brings it']);
  await symlink('gone', join(root, 'app'));
  assert.deepEqual(await problems(), [
    '/app is missing: it is not in ROOT, and no mount brings it (/gone is not there)',
  ]);
  await mkdir(join(root, 'gone'));
  assert.deepEqual(await problems(), ['/app is no file']);
  await file('data', program(), 0o644);
  assert.deepEqual(await problems('init: /data'), ['/data is not executable: chmod +x it']);
  await file('text', 'echo hello\n');
  assert.deepEqual(await problems('init: /text'), ['/text is neither a program (ELF) nor a script (#!)']);
});

test('links that lead around in a circle or out of the root stay in it', async () => {
  await symlink('b', join(root, 'a'));
  await symlink('a', join(root, 'b'));
  assert.deepEqual(await problems('init: /a'), ['/a leads from link to link without end']);
  await symlink('../../../../bin/sh', join(root, 'app'));
  assert.match((await problems())[0] ?? '', /\/bin\/sh is not there/);
});

test("another architecture is named, and not looked at when it is nobody's business", async () => {
  await file('app', program([], 62));
  assert.deepEqual(await problems(), ['/app is made for x86_64, not for aarch64 (--arch says what the device is)']);
  assert.deepEqual(await problems('init: /app', null), []);
});

test('the loader and the libraries that nothing brings are named, with the line to add', async () => {
  await file('app', program(['libc.so.6', 'libfoo.so.1']));
  const line = 'add "/lib: { type: bind, host: /lib }" to mounts, or';
  assert.deepEqual(await problems(), [
    `/app: its loader ${loader} is neither in the root directory nor in a mount: ${line} put it into the root directory as ${loader}`,
    `/app: libc.so.6, libfoo.so.1 are neither in the root directory nor in a mount: ${line} put them into the root directory as /lib/libc.so.6, /lib/libfoo.so.1`,
  ]);
  assert.deepEqual(await problems('init: /app\nmounts: { /lib: { type: bind, host: /lib } }'), []);
});

test('a line that would hide what the root has is not recommended', async () => {
  await file('app', program(['libfoo.so.1']));
  await file(loader, elfFile({ machine: 183 }));
  assert.deepEqual(await problems(), [
    '/app: libfoo.so.1 is neither in the root directory nor in a mount: put it into the root directory as /lib/libfoo.so.1',
  ]);
});

test('libraries are found as the loader does, those of libraries too', async () => {
  await file(loader, elfFile({ machine: 183 }));
  await file('opt/app', elfFile({ machine: 183, interpreter: loader, needed: ['liba.so'], runpath: '$ORIGIN/lib' }));
  await file('opt/lib/liba.so', library('libb.so', 'libd.so'));
  await file('usr/lib/aarch64-linux-gnu/libb.so', library('libc.so.6'));
  await file('lib64/libc.so.6', library());
  await file('srv/libd.so', library());
  assert.deepEqual(await problems('init: /opt/app\nenv: { LD_LIBRARY_PATH: /srv }', aarch64, ''), [
    '/opt/app: its loader finds $ORIGIN in /proc/self/exe: add "/proc: { type: proc }" to mounts',
  ]);
  assert.match(
    (await problems('init: /opt/app'))[0] ?? '',
    /^\/opt\/app: libd\.so \(for \/opt\/lib\/liba\.so\) is neither/,
  );
  assert.deepEqual(await problems('init: /opt/app\nenv: { LD_LIBRARY_PATH: /srv }'), []);
  await file('etc/ld.so.cache', 'glibc-ld.so.cache1.1\0libd.so\0/srv/libd.so\0');
  assert.deepEqual(await problems('init: /opt/app'), []);
});

test('a library for another processor is none', async () => {
  await file(loader, elfFile({ machine: 183 }));
  await file('app', program(['liba.so']));
  await file('lib/liba.so', elfFile({ machine: 62 }));
  assert.match((await problems())[0] ?? '', /^\/app: liba\.so \(there is one for x86_64\) is neither/);
});

test('musl has its own libraries in its loader, and its own directories', async () => {
  const musl = '/lib/ld-musl-aarch64.so.1';
  await file(musl, elfFile({ machine: 183 }));
  await file('app', elfFile({ machine: 183, interpreter: musl, needed: ['libc.so', 'libpthread.so.0', 'liba.so'] }));
  await file('opt/liba.so', library());
  assert.match((await problems())[0] ?? '', /^\/app: liba\.so is neither/);
  await file('etc/ld-musl-aarch64.path', '/lib\n/opt\n');
  assert.deepEqual(await problems(), []);
});

test('an init in a mount is believed where only the device knows, and refused where there are no programs', async () => {
  const mounted = (mount: string) => problems(`init: /x/app\nmounts: { /x: { ${mount} } }`);
  assert.deepEqual(await mounted('type: bind, host: /opt'), []);
  assert.deepEqual(await mounted('type: resource, name: r, version: "1", dir: /'), []);
  assert.deepEqual(await mounted('type: bind, host: /opt, options: noexec'), [
    '/x/app lies in the mount /x, which is noexec',
  ]);
  assert.deepEqual(await mounted('type: tmpfs, size: 1M'), [
    '/x/app lies in the mount /x, a tmpfs that holds no programs',
  ]);
});

test('a script needs its interpreter, and that needs its loader', async () => {
  await file('app', '#!/bin/sh -e\necho hello\n');
  assert.deepEqual(await problems(), [
    '/app: its interpreter /bin/sh is missing: it is not in ROOT, and no mount brings it',
  ]);
  await file('bin/sh', program(['libc.so.6']));
  assert.match((await problems())[0] ?? '', /^\/app: its interpreter \/bin\/sh: its loader \/lib\/ld-linux/);
  await file('bin/sh', program());
  assert.deepEqual(await problems(), []);
  await chmod(join(root, 'app'), 0o311);
  assert.deepEqual(await problems(), ['/app is a script that its user may not read: chmod u+r it']);
});

test('env finds the interpreter in the PATH of the manifest', async () => {
  await file('app', '#!/usr/bin/env python3\n');
  await file('usr/bin/env', program());
  assert.deepEqual(await problems(), [
    '/app: its interpreter python3 is missing in /usr/local/bin, /bin, /usr/bin; env in the manifest may set another PATH',
  ]);
  await file('opt/bin/python3', program([], 62));
  assert.deepEqual(await problems('init: /app\nenv: { PATH: "/opt/bin" }'), [
    '/app: its interpreter /opt/bin/python3 is made for x86_64, not for aarch64 (--arch says what the device is)',
  ]);
});

test('first lines that the kernel does not take', async () => {
  await file('app', '#!/bin/sh\r\n');
  assert.match((await problems())[0] ?? '', /ends with a carriage return/);
  await file('app', '#!\n');
  assert.match((await problems())[0] ?? '', /names no interpreter/);
  await file('app', `#!/${'x'.repeat(300)}\n`);
  assert.match((await problems())[0] ?? '', /first line has over 256 bytes/);
  await file('app', '#!/app\n');
  assert.match((await problems())[0] ?? '', /too many of them/);
});
