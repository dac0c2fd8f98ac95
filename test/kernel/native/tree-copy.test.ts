// A tree that a container has written is copied as it is, whatever is in it, and nothing outside of it is read.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { copyTree, measureTree, TreeTooLarge, type TreeBounds } from '../../../native/tree-copy.ts';
import { readAttributes, writeAttribute } from '../../../native/xattr.ts';
import { launcherProgram } from '../../../src/installation.ts';
import { FS_IMMUTABLE, FS_NODUMP, flagsOf, setFlags } from '../../support/inode-flags.ts';
import { enterMountNamespace } from '../../support/namespace.ts';

// What it mounts goes with it, however it ends.
enterMountNamespace();

const wide: TreeBounds = { bytes: 1e9, entries: 1000, time: 20_000 };

function place(t: TestContext) {
  const directory = mkdtempSync(join(tmpdir(), 'northstate-copy-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const path = (...parts: string[]): string => join(directory, ...parts);
  for (const name of ['source', 'target', 'links']) fs.mkdirSync(path(name));
  const open = (name: string): number => {
    const fd = fs.openSync(path(name), fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
    t.after(() => fs.closeSync(fd));
    return fd;
  };
  const copy = (bounds = wide) =>
    copyTree(launcherProgram(), { source: open('source'), target: open('target'), links: open('links') }, bounds);
  return { path, open, copy };
}

/** What is to be the same of each name. */
function listing(root: string): unknown[] {
  return ['.', ...fs.readdirSync(root, { recursive: true, encoding: 'utf8' })].sort().map((name) => {
    const path = join(root, name);
    const is = fs.lstatSync(path);
    const { mode, uid, gid, nlink, rdev, mtimeMs } = is;
    const attributes = is.isSymbolicLink()
      ? []
      : [...readAttributes(path)].map(([key, value]) => [key, value.toString('latin1')]);
    const content = is.isSymbolicLink() ? fs.readlinkSync(path) : is.isFile() ? beginningOf(path) : null;
    return { name, mode, uid, gid, nlink, rdev, size: is.isDirectory() ? 0 : is.size, mtimeMs, attributes, content };
  });
}

function beginningOf(path: string): string {
  const fd = fs.openSync(path, 'r');
  const buffer = Buffer.alloc(20_000);
  const length = fs.readSync(fd, buffer, 0, buffer.length, 0);
  fs.closeSync(fd);
  return buffer.toString('latin1', 0, length);
}

test('copies links, devices, pipes, sockets, holes, owners, attributes, modes and times', async (t) => {
  const { path, copy } = place(t);
  const at = (...parts: string[]): string => path('source', ...parts);
  fs.mkdirSync(at('a/b'), { recursive: true });
  fs.writeFileSync(at('a/file'), 'x'.repeat(10_000));
  fs.linkSync(at('a/file'), at('a/b/again'));
  fs.symlinkSync('/etc/shadow', at('link'));
  fs.symlinkSync('../../outside', at('a/up'));
  execFileSync('mkfifo', [at('pipe')]);
  execFileSync('mknod', [at('device'), 'b', '7', '3']);
  execFileSync('python3', ['-c', `import socket; socket.socket(socket.AF_UNIX).bind(${JSON.stringify(at('socket'))})`]);
  fs.writeFileSync(at('holes'), 'begin');
  fs.truncateSync(at('holes'), 300_000_000);
  fs.chownSync(at('a/file'), 1000, 1001);
  fs.chmodSync(at('a/file'), 0o6751);
  fs.chownSync(path('source'), 1000, 1000);
  fs.chmodSync(path('source'), 0o1710);
  writeAttribute(at('a/file'), 'user.origin', Buffer.from('somewhere'));
  writeAttribute(at('a'), 'trusted.mark', Buffer.from('ours'));
  // cap_net_raw+ep, as setcap(8) writes it.
  writeAttribute(at('a/file'), 'security.capability', Buffer.from('0100000200200000000000000000000000000000', 'hex'));
  for (const name of ['a/b', 'a', 'holes', '.']) fs.utimesSync(at(name), 1000, 2000.5);

  const { bytes, entries } = await copy();
  assert.deepEqual(
    listing(path('target')),
    listing(path('source')).map((each) => adjusted(each)),
  );
  assert.equal(fs.statSync(path('target/a/file')).ino, fs.statSync(path('target/a/b/again')).ino);
  assert.ok(fs.statSync(path('target/holes')).blocks * 512 < 1_000_000);
  assert.ok(bytes < 1_000_000, `${bytes} bytes`);
  assert.equal(entries, 10);
});

/** The directory for hard links still has one more name for the file. */
function adjusted(each: unknown): unknown {
  const known = each as { name: string; nlink: number };
  return known.name === 'a/file' || known.name === 'a/b/again' ? { ...known, nlink: known.nlink + 1 } : known;
}

test('flags of files are as they were, but for those that forbid to delete or rename', async (t) => {
  const { path, copy } = place(t);
  execFileSync('mount', ['-t', 'tmpfs', 'none', path('.')]);
  try {
    for (const name of ['source', 'target', 'links', 'source/directory']) fs.mkdirSync(path(name));
    for (const name of ['file', 'directory/file']) fs.writeFileSync(path('source', name), 'content');
    fs.linkSync(path('source/file'), path('source/again'));
    const names = ['directory/file', 'directory', 'file'];
    for (const name of names) setFlags(path('source', name), FS_NODUMP | FS_IMMUTABLE);
    await copy();
    for (const name of names) assert.equal(flagsOf(path('target', name)) & 0x70, FS_NODUMP, name);
    assert.equal(fs.readFileSync(path('target/again'), 'utf8'), 'content');
  } finally {
    // The directories that it copies are still open.
    execFileSync('umount', ['-l', path('.')]);
  }
});

test('keeps to its bounds, and says which one is exceeded', async (t) => {
  const { path, open, copy } = place(t);
  for (let i = 0; i < 20; i++) fs.writeFileSync(path('source', String(i)), Buffer.alloc(10_000, 1));
  const refused = (bounds: Partial<TreeBounds>, message: RegExp) => {
    const matches = (error: unknown): boolean => error instanceof TreeTooLarge && message.test(error.message);
    return Promise.all([
      assert.rejects(measureTree(launcherProgram(), open('source'), { ...wide, ...bounds }), matches),
      assert.rejects(copy({ ...wide, ...bounds }), matches),
    ]);
  };
  await refused({ bytes: 150_000 }, /more than 150000 bytes/);
  for (const name of fs.readdirSync(path('target'))) rmSync(path('target', name));
  await refused({ entries: 19 }, /more than 19 files/);
  let deep = path('source');
  for (let i = 0; i < 300; i++) fs.mkdirSync((deep = join(deep, 'd')));
  await assert.rejects(measureTree(launcherProgram(), open('source'), wide), /too deep/);
});

test('does not enter a mount', async (t) => {
  const { path, copy } = place(t);
  fs.mkdirSync(path('source/mnt'));
  execFileSync('mount', ['-t', 'tmpfs', 'none', path('source/mnt')]);
  try {
    await assert.rejects(copy(), /open mnt: EXDEV/);
  } finally {
    execFileSync('umount', [path('source/mnt')]);
  }
});

test('ends with whoever asked for it, and when it is told to', async (t) => {
  const { open } = place(t);
  const abort = new AbortController();
  const measured = measureTree(launcherProgram(), open('source'), wide, abort.signal);
  abort.abort();
  await assert.rejects(measured, { name: 'AbortError' });
});
