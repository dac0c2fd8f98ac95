// Taking trees down that are deep, oddly named, mounted on, or changed meanwhile.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { FS_APPEND, FS_IMMUTABLE, flagsOf, setFlags } from '../../support/inode-flags.ts';
import { removeTree } from '../../../native/removal.ts';
import { wipePersist } from '../../../controllers/sandbox/persist.ts';
import { run } from '../../support/command.ts';
import { enterMountNamespace } from '../../support/namespace.ts';
import { payload } from '../../escape/payload.ts';

enterMountNamespace();

/** A directory with `tree`, which is removed, and `kept`, which is not. */
async function withTree(act: (place: { tree: string; kept: string; remove: () => Promise<void> }) => Promise<void>) {
  const directory = await mkdtemp(join(tmpdir(), 'northstate-removal-'));
  const [tree, kept] = [join(directory, 'tree'), join(directory, 'kept')];
  const fd = openSync(directory, 'r');
  for (const path of [tree, kept]) mkdirSync(path);
  writeFileSync(join(kept, 'file'), '');
  try {
    await act({ tree, kept, remove: () => removeTree(fd, 'tree', tree) });
    assert.deepEqual(readdirSync(kept), ['file']);
  } finally {
    closeSync(fd);
    await run('rm', ['-rf', directory]);
  }
}

test('a tree goes with all that is in it, and links are not followed', () =>
  withTree(async ({ tree, kept, remove }) => {
    for (const name of ['a', 'a/b', 'a/b/c', 'd']) mkdirSync(join(tree, name));
    for (let each = 0; each < 1000; each++) writeFileSync(join(tree, 'a', String(each)), '');
    writeFileSync(Buffer.concat([Buffer.from(`${tree}/d/`), Buffer.from([0xff, 0xfe, 0x0a])]), '');
    for (const name of ['link', 'a/b/link', '.removed']) symlinkSync(kept, join(tree, name));
    await run('mkfifo', [join(tree, 'pipe')]);
    await remove();
    assert.ok(!existsSync(tree));
    await remove();
  }));

test('a link in the place of a tree is removed alone', () =>
  withTree(async ({ tree, kept, remove }) => {
    await rm(tree, { recursive: true });
    symlinkSync(kept, tree);
    await remove();
    assert.ok(!existsSync(tree));
  }));

test('a tree may be deeper than a path is long, and than there are descriptors', () =>
  withTree(async ({ tree, remove }) => {
    for (let level = 0; level < 5000; level++) {
      mkdirSync(`${tree}-above`);
      writeFileSync(`${tree}-above/file`, '');
      renameSync(tree, `${tree}-above/directory`);
      renameSync(`${tree}-above`, tree);
    }
    const before = readdirSync('/proc/self/fd').length;
    await remove();
    assert.ok(!existsSync(tree));
    assert.equal(readdirSync('/proc/self/fd').length, before);
  }));

test('what is mounted in a tree stays, and the error says where', () =>
  withTree(async ({ tree, kept, remove }) => {
    mkdirSync(join(tree, 'mounted'));
    await run('mount', ['--bind', kept, join(tree, 'mounted')]);
    try {
      await assert.rejects(remove(), ({ message }: Error) => message.includes(tree) && /EXDEV|EBUSY/.test(message));
    } finally {
      await run('umount', [join(tree, 'mounted')]);
    }
  }));

test('a directory that becomes a link every other moment leads nowhere', () =>
  withTree(async ({ tree, kept, remove }) => {
    for (let round = 0; round < 20; round++) {
      for (const name of ['', 'x', 'x/deep']) mkdirSync(join(tree, name), { recursive: true });
      const attacker = spawn(await payload(), ['0', 'exchange', tree, kept], { stdio: ['ignore', 'pipe', 'inherit'] });
      await once(attacker.stdout, 'data');
      await remove();
      attacker.kill('SIGKILL');
      await once(attacker, 'exit');
    }
  }));

test('what is immutable or append-only goes as well, on every file system that has such flags', () =>
  withTree(async ({ tree, kept, remove }) => {
    await run('mount', ['-t', 'tmpfs', 'none', kept]);
    try {
      writeFileSync(join(kept, 'file'), '');
      mkdirSync(join(kept, 'tree'));
      for (const name of ['a', 'a/b', 'c']) mkdirSync(join(kept, 'tree', name));
      for (const name of ['a/b/file', 'c/log']) writeFileSync(join(kept, 'tree', name), '');
      symlinkSync('/dev/null', join(kept, 'tree/c/link'));
      setFlags(join(kept, 'tree/c/log'), FS_APPEND);
      for (const name of ['a/b/file', 'a/b', 'a', 'c', '.']) setFlags(join(kept, 'tree', name), FS_IMMUTABLE);
      assert.equal(flagsOf(join(kept, 'tree/a')) & FS_IMMUTABLE, FS_IMMUTABLE);
      const fd = openSync(kept, 'r');
      await removeTree(fd, 'tree', join(kept, 'tree')).finally(() => closeSync(fd));
      assert.deepEqual(readdirSync(kept), ['file']);
    } finally {
      await run('umount', [kept]);
    }
    await remove();
    assert.ok(!existsSync(tree));
  }));

test('what somebody else has set on the directory above holds, and the error says where and how it is allowed', () =>
  withTree(async ({ tree, kept }) => {
    await run('mount', ['-t', 'tmpfs', 'none', kept]);
    try {
      writeFileSync(join(kept, 'file'), '');
      for (const name of ['data', 'data/app', 'data/app/inner']) mkdirSync(join(kept, name));
      const data = join(kept, 'data');
      for (const [flag, letter] of [
        [FS_IMMUTABLE, 'i'],
        [FS_APPEND, 'a'],
      ] as const) {
        setFlags(join(data, 'app'), FS_IMMUTABLE);
        setFlags(data, flag);
        const says = { message: new RegExp(`: the directory ${data} is .*chattr -${letter} ${data}$`) };
        const fd = openSync(data, 'r');
        await assert.rejects(removeTree(fd, 'app', join(data, 'app')), says).finally(() => closeSync(fd));
        await assert.rejects(wipePersist(data, 'app'), says);
        assert.equal(flagsOf(data) & (FS_IMMUTABLE | FS_APPEND), flag);
        assert.deepEqual(readdirSync(join(data, 'app')), ['inner']);
        await run('chattr', [`-${letter}`, data]);
      }
      await wipePersist(data, 'app');
      assert.deepEqual(readdirSync(data), []);
    } finally {
      await run('umount', [kept]);
    }
    assert.ok(existsSync(tree));
  }));
