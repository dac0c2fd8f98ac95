// Repositories of a whole runtime: edited while it runs, in memory, and with files that are changed under mounted images.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import {
  copyFile,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import type { ContainerStatus, ConditionType } from '../../state/status.ts';
import { startDaemon, type Daemon } from '../daemon.ts';
import { openDescriptors } from '../leaks.ts';
import { probePackage } from '../packages.ts';
import { endsClean, running, withDaemon } from '../scenario.ts';
import { succeed } from '../successor.ts';

const app = await probePackage({ name: 'app' });
const other = await probePackage({ name: 'other' });

/** A document with these repositories and containers, a line each. */
const documentWith = (repositories: readonly string[], containers: readonly string[]): string =>
  `apiVersion: northstate/v1
repositories: {${repositories.join(', ')}}
containers: {${containers.join(', ')}}
...
`;

const entry = 'app: { state: running }';
const holds = (container: ContainerStatus, type: ConditionType): boolean =>
  container.conditions.some((each) => each.type === type && each.status === 'True');
const reasonOf = (container: ContainerStatus, type: ConditionType): string | undefined =>
  container.conditions.find((each) => each.type === type)?.reason;

/** Starts a runtime whose packages lie in `packages`, with a document of repositories. */
async function withRepositories(
  packages: readonly string[],
  document: (directory: string) => string,
  body: (daemon: Daemon) => Promise<void>,
): Promise<void> {
  const before = openDescriptors();
  await using daemon = await startDaemon({ packages, document });
  await body(daemon);
  await endsClean(daemon, before);
}

async function command(daemon: Daemon, ...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await daemon.run(...args);
  assert.equal(code, 0, stderr);
  return stdout;
}

test('a repository that is removed, or gets another directory, stops and deletes nothing, and comes back', async () => {
  const fs = (dir: string) => `packages: { type: fs, dir: ${dir} }`;
  await withRepositories(
    [app],
    (dir) => documentWith([fs(dir)], [entry]),
    async (daemon) => {
      const { pid } = await running(daemon, 'app');
      const elsewhere = join(daemon.directory, 'elsewhere');
      await mkdir(elsewhere);

      await daemon.write(documentWith([], [entry]));
      const removed = await daemon.untilContainer('app', 'has lost its repository', (each) =>
        holds(each, 'PackageMissing'),
      );
      assert.equal(reasonOf(removed, 'PackageMissing'), 'RepositoryRemoved');
      assert.deepEqual([removed.pid, removed.phase, removed.mounted], [pid, 'Running', true]);
      assert.deepEqual(await readdir(daemon.repository), [basename(app)]);

      await daemon.write(documentWith([fs(elsewhere)], [entry]));
      const moved = await daemon.untilContainer(
        'app',
        'is not in the other directory',
        (each) => reasonOf(each, 'PackageMissing') === 'PackageVanished',
      );
      assert.deepEqual([moved.pid, moved.phase], [pid, 'Running']);

      await daemon.write(documentWith([fs(daemon.repository)], [entry]));
      const back = await daemon.untilContainer(
        'app',
        'has its package again',
        (each) => !holds(each, 'PackageMissing'),
      );
      assert.deepEqual([back.pid, back.phase], [pid, 'Running']);
    },
  );
});

test('packages in memory survive the reconciler, and are gone with the runtime', async () => {
  const scratch = 'scratch: { type: mem, capacity: { containers: 2 } }';
  await withRepositories(
    [],
    () => documentWith([scratch], []),
    async (daemon) => {
      await command(daemon, 'install', app, 'scratch');
      await command(daemon, 'start', 'app:1.0.0');
      const { pid } = await running(daemon, 'app:1.0.0');
      const { repositories } = await daemon.until(
        'shows its package',
        (each) => each.repositories['scratch']?.packages === 1,
      );
      assert.equal(repositories['scratch']?.size, (await stat(app)).size);
      assert.equal(repositories['scratch'].type, 'mem');

      const after = await succeed(daemon);
      assert.equal(after.containers['app:1.0.0']?.pid, pid);
      assert.equal(after.repositories['scratch']?.packages, 1);
      process.kill(pid ?? 0, 'SIGKILL');
      const again = await daemon.untilContainer(
        'app:1.0.0',
        'runs again',
        (each) => each.phase === 'Running' && each.pid !== pid,
      );
      assert.notEqual(again.pid, pid);

      await command(daemon, 'install', other, 'scratch');
      const full = await daemon.run('install', await probePackage({ name: 'third' }), 'scratch');
      assert.equal(full.code, 1);
      assert.match(full.stderr, /scratch is full: it may hold 2 packages/);
      await command(daemon, 'uninstall', 'other:1.0.0');
      await daemon.until('one is left', (each) => each.repositories['scratch']?.packages === 1);
      // What was typed lasts as long as what lies in memory.
      assert.doesNotMatch(await readFile(daemon.document, 'utf8'), /other/);
    },
  );
});

test('a repository in memory stays as long as an image of it is mounted, also when its reconciler dies', async () => {
  const scratch = 'scratch: { type: mem }';
  await withRepositories(
    [],
    () => documentWith([scratch], [entry]),
    async (daemon) => {
      await command(daemon, 'install', app, 'scratch');
      const { pid } = await running(daemon, 'app');
      await daemon.write(documentWith([], [entry]));
      const problem = (text: RegExp) => (each: { repositories: Record<string, { problems: readonly string[] }> }) =>
        text.test(each.repositories['scratch']?.problems.join() ?? '');
      await daemon.until('the repository lingers', problem(/not in the document, and stays until/));
      const after = await succeed(daemon);
      assert.equal(after.containers['app']?.pid, pid);
      assert.equal(after.repositories['scratch']?.packages, 1);
      await daemon.write(documentWith([], []));
      const gone = await daemon.until('it is gone', ({ repositories }) => repositories['scratch'] === undefined);
      assert.equal(existsSync(`/proc/${pid}`), false);
      assert.equal(gone.repositories['scratch'], undefined);
    },
  );
});

test('a lower capacity stops nothing and refuses installations', async () => {
  const packages = (dir: string, fields: string) => `packages: { type: fs, dir: ${dir}${fields} }`;
  await withRepositories(
    [app],
    (dir) => documentWith([packages(dir, '')], [entry]),
    async (daemon) => {
      const { pid } = await running(daemon, 'app');
      await daemon.write(
        documentWith([packages(daemon.repository, ', capacity: { containers: 0, size: 10kB }')], [entry]),
      );
      await daemon.until('the document is in force', ({ converged, generation }) => converged && generation === 2);
      const { code, stderr } = await daemon.run('install', other, 'packages');
      assert.equal(code, 1);
      assert.match(stderr, /packages is full/);
      const { containers } = await daemon.until('all is as it was', ({ converged }) => converged);
      assert.equal(containers['app']?.pid, pid);
    },
  );
});

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
