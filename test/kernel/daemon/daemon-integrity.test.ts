// Files that change under mounted images, and packages that are none, in a whole runtime.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, open, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { startDaemon } from '../../support/test-daemon.ts';
import { openDescriptors } from '../../support/leaks.ts';
import { probePackage } from '../../support/packages.ts';
import { documentWith, entry, reasonOf } from '../../support/repository-documents.ts';
import { endsClean, running, withDaemon } from '../../support/scenario.ts';
import { succeed } from '../../support/successor.ts';

const app = await probePackage({ name: 'app' });
const other = await probePackage({ name: 'other' });

test('a package that is replaced by rename, or deleted, keeps its running container', async () => {
  await withDaemon([app], [entry], async (daemon) => {
    const { pid } = await running(daemon, 'app');
    const file = join(daemon.repository, basename(app));
    await copyFile(app, `${daemon.directory}/next`);
    await rename(file, `${daemon.directory}/old`);
    await rename(`${daemon.directory}/next`, file);
    await copyFile(other, join(daemon.repository, 'other.npk'));
    await daemon.until('the other file is seen', ({ repositories }) => repositories['packages']?.packages === 2);
    await rm(file);
    const status = await daemon.until('it is deleted', ({ repositories }) => repositories['packages']?.packages === 1);
    assert.deepEqual([status.containers['app']?.pid, status.containers['app']?.phase], [pid, 'Running']);
    assert.equal(reasonOf(status.containers['app'] ?? assert.fail(), 'IntegrityLost'), 'ImageIntact');
  });
});

const damages: Record<string, (path: string) => Promise<void>> = {
  truncated: (path) => truncate(path, 4096),
  'overwritten in place': (path) => copyFile(other, path),
  'changed in one byte, and given its old time again': async (path) => {
    const { atime, mtime, size } = await stat(path);
    const file = await open(path, 'r+');
    await file.write(Buffer.from('x'), 0, 1, size - 5000);
    await file.utimes(atime, mtime);
    await file.close();
  },
};

for (const [what, damage] of Object.entries(damages)) {
  test(`a package that is ${what} while it is mounted stops its container, which starts again from a good file only`, async () => {
    await withDaemon([app], [entry], async (daemon) => {
      const { pid } = await running(daemon, 'app');
      const file = join(daemon.repository, basename(app));
      await damage(file);
      const lost = await daemon.untilContainer('app', 'has failed', (each) => each.phase === 'Failed');
      assert.equal(reasonOf(lost, 'IntegrityLost'), 'ImageWritten');
      assert.equal(reasonOf(lost, 'Ready'), 'IntegrityLost');
      const told = lost.conditions.find(({ type }) => type === 'Ready')?.message ?? '';
      assert.match(told, /by rename \(cp PACKAGE FILE\.new; mv FILE\.new FILE\)/);
      assert.equal(existsSync(`/proc/${pid}`), false);
      assert.match(daemon.log(), /integrity of a mounted image lost/);

      // Neither the next reconciler nor a person starts from it.
      const after = await succeed(daemon);
      assert.equal(after.containers['app']?.phase, 'Failed');
      const { code, stderr } = await daemon.run('start', 'app');
      assert.equal(code, 1);
      assert.match(stderr, /written to while it was mounted|not installed/);

      await copyFile(app, `${file}.new`);
      await rename(`${file}.new`, file);
      const again = await daemon.untilContainer('app', 'runs again', (each) => each.phase === 'Running');
      assert.equal(reasonOf(again, 'IntegrityLost'), 'ImageIntact');
    });
  });
}

test('a mounted image that is truncated is not started, and the runtime lives on', async () => {
  await withDaemon([app, other], ['app: { state: mounted }', 'other: { state: running }'], async (daemon) => {
    await daemon.until('all is there', ({ converged }) => converged);
    await truncate(join(daemon.repository, basename(app)), 0);
    const { code, stderr } = await daemon.run('start', 'app');
    assert.equal(code, 1, stderr);
    assert.equal((await running(daemon, 'other')).phase, 'Running');
  });
});

test('a truncated package in the repository is reported, and the rest comes up', async () => {
  const before = openDescriptors();
  const content = await readFile(app);
  const document = (dir: string) => documentWith([`packages: { type: fs, dir: ${dir}, mountOnStart: true }`], []);
  const directory = await makeWith({ 'cut.npk': content.subarray(0, 9000), 'empty.npk': Buffer.alloc(0) });
  await using daemon = await startDaemon({ packages: [other], document, directory });
  const status = await daemon.until(
    'the other is mounted',
    ({ containers }) => containers['other:1.0.0']?.mounted === true,
  );
  const problems = status.repositories['packages']?.problems.join('\n') ?? '';
  assert.match(problems, /cut\.npk: .*\n.*empty\.npk: /);
  await endsClean(daemon, before);
});

/** A directory for a runtime in which the repository holds these files already. */
async function makeWith(files: Readonly<Record<string, Buffer>>): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'northstate-'));
  await mkdir(join(directory, 'packages'));
  for (const [name, content] of Object.entries(files)) await writeFile(join(directory, 'packages', name), content);
  return directory;
}
