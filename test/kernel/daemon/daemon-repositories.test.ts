// Repositories of a whole runtime: edited while it runs, in memory, with keys.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, chown, copyFile, mkdir, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { fileServer } from '../../support/file-server.ts';
import { bulk, keyPair, probePackage } from '../../support/packages.ts';
import { command, documentWith, entry, holds, reasonOf, withRepositories } from '../../support/repository-documents.ts';
import { running } from '../../support/scenario.ts';
import { succeed } from '../../support/successor.ts';
import { untilLogged } from '../../support/successor.ts';

const app = await probePackage({ name: 'app' });
const other = await probePackage({ name: 'other' });

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

test('a package comes from a server by the document; what that takes is said before', async () => {
  const old = await probePackage({ name: 'app', files: { data: bulk(900_000) } });
  const next = await probePackage({ name: 'app', version: '2.0.0', files: { data: bulk(900_000) } });
  const bytes = await readFile(next);
  const key = await keyPair('right');
  const extraBytes = await readFile(
    await probePackage({ name: 'extra', key: 'right', files: { data: bulk(200_000) } }),
  );
  await using server = await fileServer({ 'app.npk': bytes, 'extra.npk': extraBytes });
  const keyed = (dir: string): string =>
    `keyed: { type: fs, dir: ${dir}/../keyed, key: ${key.public}, integrity: full-check }`;
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  const repository = (dir: string): string => `packages: { type: fs, dir: ${dir} }`;
  await withRepositories(
    [old],
    (dir) => documentWith([repository(dir), keyed(dir)], [entry]),
    async (daemon) => {
      await running(daemon, 'app');
      await mkdir(join(daemon.directory, 'keyed'));
      const extra = server.url('extra.npk').href;
      assert.equal(
        await command(daemon, 'install', '--dry-run', extra),
        `extra:1.0.0: ${extraBytes.length} of ${extraBytes.length} bytes to fetch\n`,
      );
      assert.equal(await command(daemon, 'list'), 'app:1.0.0\n');
      const unsafe = await daemon.run('install', extra, 'packages', '--timeout', '1m');
      assert.match(unsafe.stderr, /anybody on the way could answer/);
      assert.doesNotMatch(await command(daemon, 'get', '-o', 'name'), /extra/, 'what has failed leaves no entry');
      const nowhere = await daemon.run('install', extra, 'nowhere');
      assert.match(nowhere.stderr, /there is no repository nowhere/);
      const missing = await daemon.run('install', '--dry-run', server.url('none.npk').href);
      assert.match(missing.stderr, /404 \(not found\)/);
      assert.equal(await command(daemon, 'install', extra, 'keyed'), 'extra:1.0.0 installed\n');
      assert.equal(await command(daemon, 'list'), 'app:1.0.0\nextra:1.0.0\n');
      const source = `app: { version: 2.0.0, source: "${server.url('app.npk').href}", digest: "${digest}" }`;
      const file = join(daemon.directory, 'next.yaml');
      await writeFile(file, documentWith([repository(daemon.repository), keyed(daemon.repository)], [source]));
      const planned = await command(daemon, 'plan', '-f', file);
      assert.match(planned, new RegExp(`install app from http://127.*app.npk.* \\(${bytes.length} bytes to fetch\\)`));
      const applied = await command(daemon, 'apply', '-f', file, '--wait');
      assert.match(applied, new RegExp(`^${bytes.length} bytes to fetch$`, 'm'));
      await daemon.untilContainer(
        'app',
        'runs the new one',
        ({ version, phase }) => version === '2.0.0' && phase === 'Running',
      );
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

test('a key is asked of what is mounted next: another key stops nothing and refuses, the right one is taken again', async () => {
  const [right, wrong] = [await keyPair('right'), await keyPair('wrong')];
  const signed = await probePackage({ name: 'app', key: 'right', files: { bulk: bulk(100_000) } });
  const keyed = (dir: string, key: string) => `packages: { type: fs, dir: ${dir}, key: ${key}, integrity: full-check }`;
  await withRepositories(
    [signed, other],
    (dir) => documentWith([keyed(dir, right.public)], [entry]),
    async (daemon) => {
      const { pid, conditions } = await running(daemon, 'app');
      assert.ok(
        conditions.some(
          ({ type, status, reason }) => type === 'Verified' && status === 'True' && reason === 'SignatureValid',
        ),
      );
      const { repositories } = await daemon.until('converged', ({ converged }) => converged);
      const { verified, integrity, packages, problems } = repositories['packages'] ?? assert.fail();
      assert.deepEqual([verified, integrity, packages], [true, 'full-check', 1]);
      assert.match(problems.join(), /other.*sign/);

      await daemon.write(documentWith([keyed(daemon.repository, wrong.public)], [entry]));
      const refused = await daemon.untilContainer('app', 'is refused', (each) => holds(each, 'PackageMissing'));
      assert.deepEqual([refused.pid, refused.phase], [pid, 'Running']);
      await daemon.write(documentWith([keyed(daemon.repository, right.public)], [entry]));
      const back = await daemon.untilContainer('app', 'is taken again', (each) => !holds(each, 'PackageMissing'));
      assert.equal(back.pid, pid);
    },
  );
});

test('where there is no device mapper, dm-verity fails its containers with the alternative, and nothing else', async () => {
  const key = await keyPair('right');
  const signed = await probePackage({ name: 'app', key: 'right', files: { bulk: bulk(100_000) } });
  const repositories = (dir: string, integrity: string) => [
    `checked: { type: fs, dir: ${dir}/../checked, key: ${key.public}${integrity} }`,
    `packages: { type: fs, dir: ${dir} }`,
  ];
  const entries = [entry, 'other: { state: running }'];
  await withRepositories(
    [other],
    (dir) => documentWith(repositories(dir, ''), entries),
    async (daemon) => {
      const checked = join(daemon.directory, 'checked');
      await mkdir(checked);
      await copyFile(signed, join(checked, basename(signed)));
      await running(daemon, 'other');
      if (!(await readFile('/proc/misc', 'utf8')).includes('device-mapper')) {
        const failed = await daemon.untilContainer('app', 'has failed', ({ phase }) => phase === 'Failed');
        assert.equal(reasonOf(failed, 'Degraded'), 'NoDeviceMapper');
        assert.match(JSON.stringify(failed.conditions), /integrity: full-check in repository checked/);
        await daemon.write(documentWith(repositories(daemon.repository, ', integrity: full-check'), entries));
      }
      await running(daemon, 'app');
    },
  );
});

test('an entry chooses between repositories; what is not used is named, with the reason', async () => {
  const key = await keyPair('right');
  const keyed = (dir: string) => `keyed: { type: fs, dir: ${dir}/../keyed, key: ${key.public}, integrity: full-check }`;
  await withRepositories(
    [app, other],
    (dir) =>
      documentWith(
        [`packages: { type: fs, dir: ${dir} }`, `second: { type: fs, dir: ${dir}/../second }`, keyed(dir)],
        ['app: { repository: second, state: running }', 'other: { repository: keyed, state: running }'],
      ),
    async (daemon) => {
      const [second, backup] = [join(daemon.directory, 'second'), join(daemon.repository, '.app.npk.bak')];
      await mkdir(second);
      await mkdir(join(daemon.directory, 'keyed'));
      await copyFile(app, join(second, 'app-1.0.0.npk'));
      await copyFile(app, backup);
      const unsigned = join(daemon.directory, 'keyed', 'other-1.0.0.npk');
      await copyFile(other, unsigned);
      assert.equal((await running(daemon, 'app')).repository, 'second');
      const refused = await daemon.untilContainer('other', 'says which file it is not', ({ conditions }) =>
        conditions.some(({ message }) => message.includes(`${unsigned}: `)),
      );
      assert.match(JSON.stringify(refused.conditions), /nothing that is installed is other; [^"]*not signed/);
      const shown = await daemon.until('tells of the copies', ({ repositories }) =>
        /\.bak: app:1\.0\.0 is already in .*\/packages\/app/.test(repositories['packages']?.problems.join() ?? ''),
      );
      assert.match(shown.repositories['second']?.problems.join() ?? '', /app-1\.0\.0\.npk: app:1\.0\.0 is already in/);
      for (const words of [['get'], ['explain', 'app'], ['describe', 'app']]) {
        const { stdout } = await daemon.run(...words);
        assert.match(stdout, /\.app\.npk\.bak:? +app:1\.0\.0 is already in/, words.join(' '));
      }
      const { stdout } = await daemon.run('explain', 'other');
      assert.match(stdout, /keyed\/other-1\.0\.0\.npk: .*not signed/);
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

test('a package that others than root may change is told, as long as no key stands against it', async () => {
  await withRepositories(
    [],
    (dir) => documentWith([`packages: { type: fs, dir: ${dir} }`], [entry]),
    async (daemon) => {
      const draft = join(daemon.repository, '.new');
      for (const [owner, mode, flaw] of [
        [1000, 0o644, /app\.npk belongs to user 1000, and the repository has no key/],
        [0, 0o666, /app\.npk is writable by others than root/],
      ] as const) {
        await copyFile(app, draft);
        await chown(draft, owner, owner);
        await chmod(draft, mode);
        await rename(draft, join(daemon.repository, 'app.npk'));
        await daemon.untilContainer('app', 'is told on', ({ conditions }) =>
          conditions.some(({ reason, message }) => reason === 'ForeignPackage' && flaw.test(message)),
        );
      }
    },
  );
});

test('other bytes under the version that an entry was resolved to are told, and run only after an update', async () => {
  const second = await probePackage({ name: 'app', args: ['print', '1', 'other bytes', 'sleep'] });
  const fs = (dir: string) => `packages: { type: fs, dir: ${dir} }`;
  await withRepositories(
    [],
    (dir) => documentWith([fs(dir)], [`app: { version: ^1, state: running, source: ${app} }`]),
    async (daemon) => {
      await running(daemon, 'app');
      const path = join(daemon.repository, 'app:1.0.0.npk');
      await copyFile(second, join(daemon.repository, '.new'));
      await rename(join(daemon.repository, '.new'), path);
      const told = await daemon.untilContainer(
        'app',
        'is told on',
        (each) => reasonOf(each, 'Verified') === 'DigestMismatch',
      );
      assert.deepEqual([told.phase, reasonOf(told, 'Degraded')], ['Running', 'DigestMismatch']);
      process.kill(told.pid ?? 0, 'SIGKILL');
      const refused = await daemon.untilContainer('app', 'does not run', ({ phase }) => phase === 'Failed');
      assert.deepEqual(
        (['Verified', 'Degraded', 'Ready'] as const).map((type) => reasonOf(refused, type)),
        ['DigestMismatch', 'DigestMismatch', 'DigestMismatch'],
      );
      assert.match(JSON.stringify(refused.conditions), /northstate update app takes it as it is/);
      await command(daemon, 'update', 'app');
      await untilLogged(daemon, '"line":"other bytes"');
      await daemon.untilContainer('app', 'is as resolved', (each) => {
        return each.phase === 'Running' && reasonOf(each, 'Degraded') === 'AsExpected';
      });
    },
  );
});
