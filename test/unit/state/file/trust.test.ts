import assert from 'node:assert/strict';
import { chmod, chown, mkdir, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { checkTrusted, makeTrustedDirectory, UntrustedPath } from '../../../../state/file/trust.ts';

const me = process.getuid?.() ?? 0;

test('a file of ours in directories of ours is trusted, and so is what does not exist', async (context) => {
  const root = await scratch(context);
  await writeFile(join(root, 'file'), '');
  await checkTrusted(join(root, 'file'), me);
  await checkTrusted(join(root, 'none/at/all'), me);
});

test('a file or a directory above it that others may write is refused by name', async (context) => {
  const root = await scratch(context);
  await mkdir(join(root, 'open/deep'), { recursive: true });
  await writeFile(join(root, 'open/deep/file'), '');
  await chmod(join(root, 'open'), 0o770);
  await assert.rejects(checkTrusted(join(root, 'open/deep/file'), me), (error) => {
    assert.ok(error instanceof UntrustedPath);
    assert.match(error.message, /\/open is writable by others.*chmod go-w/);
    return true;
  });
  await chmod(join(root, 'open'), 0o1777);
  await checkTrusted(join(root, 'open/deep/file'), me);
  await chmod(join(root, 'open/deep/file'), 0o666);
  await assert.rejects(checkTrusted(join(root, 'open/deep/file'), me), /file is writable/);
});

test('what a symbolic link leads through is checked, too', async (context) => {
  const root = await scratch(context);
  await mkdir(join(root, 'open/inner'), { recursive: true });
  await writeFile(join(root, 'open/inner/file'), '');
  await symlink('open/inner', join(root, 'link'));
  await checkTrusted(join(root, 'link/file'), me);
  await checkTrusted(`${root}/link/../inner/file`, me);
  await chmod(join(root, 'open'), 0o777);
  await assert.rejects(checkTrusted(join(root, 'link/file'), me), /\/open is writable/);
  await assert.rejects(checkTrusted(`${root}/link/../inner/file`, me), /\/open is writable/);
});

test('links that lead round in a circle are refused', async (context) => {
  const root = await scratch(context);
  await symlink('b', join(root, 'a'));
  await symlink('a', join(root, 'b'));
  await assert.rejects(checkTrusted(join(root, 'a'), me), /too many symbolic links/);
});

test('a directory of somebody else is refused', async (context) => {
  const root = await scratch(context);
  if (me === 0) await chown(root, 1, 1);
  await assert.rejects(checkTrusted(root, me === 0 ? 0 : me + 1), /belongs to user \d+.*chown root/);
});

test('a missing directory is made for its owner alone', async (context) => {
  const root = await scratch(context);
  await makeTrustedDirectory(join(root, 'a/b'), { owner: me });
  assert.equal((await stat(join(root, 'a/b'))).mode & 0o777, 0o700);
  assert.equal((await stat(join(root, 'a'))).mode & 0o777, 0o700);
});

async function scratch(context: TestContext): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'northstate-'));
  context.after(() => rm(root, { recursive: true }));
  return root;
}
