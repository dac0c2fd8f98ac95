import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { mkdtemp, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { bootId, bootTime } from '../../../native/clock.ts';
import { exchange, fsyncDirectory, identityOf, sameIdentity } from '../../../native/file.ts';
import { SyscallError } from '../../../native/libc.ts';
import { detectHierarchies } from '../../../controllers/cgroups/cgroups-observe.ts';
import { removeEmpty } from '../../support/leftover-groups.ts';

async function withDirectory(task: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'northstate-file-'));
  try {
    await task(directory);
  } finally {
    await rm(directory, { recursive: true });
  }
}

test('two files are exchanged in one step', () =>
  withDirectory(async (directory) => {
    const [one, other] = [join(directory, 'one'), join(directory, 'other')];
    await writeFile(one, '1');
    await writeFile(other, '2');
    exchange(one, other);
    await fsyncDirectory(directory);
    assert.deepEqual([await readFile(one, 'utf8'), await readFile(other, 'utf8')], ['2', '1']);
  }));

test('an exchange with a missing file is an error that names both', () =>
  withDirectory(async (directory) => {
    const one = join(directory, 'one');
    await writeFile(one, '1');
    assert.throws(
      () => exchange(one, join(directory, 'missing')),
      (error) => {
        assert.ok(error instanceof SyscallError);
        assert.match(error.message, /^renameat2 .*one <-> .*missing: ENOENT$/);
        return true;
      },
    );
  }));

test('a file system that cannot exchange says so', async () => {
  const { unified, legacy } = detectHierarchies();
  const mark = `northstate-test-${randomUUID()}`;
  const groups = ['a', 'b'].map((name) => join(unified ?? [...legacy.values()][0] ?? '', `${mark}-${name}`));
  const [one = '', other = ''] = groups;
  groups.forEach((group) => mkdirSync(group));
  try {
    assert.throws(() => exchange(one, other), /the file system of .* cannot exchange two files/);
  } finally {
    await Promise.all(groups.map(removeEmpty));
  }
});

test('a file that was written to has another identity, even with its old times', () =>
  withDirectory(async (directory) => {
    const path = join(directory, 'file');
    await writeFile(path, 'one');
    const before = await stat(path);
    await writeFile(path, 'two');
    await utimes(path, before.atime, before.mtime);
    assert.equal(sameIdentity(identityOf(before), identityOf(before)), true);
    assert.equal(sameIdentity(identityOf(before), identityOf(await stat(path))), false);
  }));

test('the boot clock runs in milliseconds, at least as far as the monotonic one', () => {
  const monotonic = Number(process.hrtime.bigint()) / 1e6;
  const boot = bootTime();
  assert.ok(boot >= monotonic);
  assert.ok(bootTime() > boot && bootTime() - boot < 10_000);
});

test('a boot has an id', () => {
  assert.match(bootId(), /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  assert.equal(bootId(), bootId());
});
