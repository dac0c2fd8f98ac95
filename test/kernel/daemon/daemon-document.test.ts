import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { copyFile, mkdir, open, readdir, readFile, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { documentOf, type Daemon } from '../../support/test-daemon.ts';
import { probePackage } from '../../support/packages.ts';
import { inside, running, runningAs, withDaemon } from '../../support/scenario.ts';
import { untilLogged } from '../../support/successor.ts';
import { detectHierarchies } from '../../../controllers/cgroups/cgroups-observe.ts';
import { removeEmpty } from '../../support/leftover-groups.ts';

const hierarchies = detectHierarchies();

/** A document that is told from others by an entry of its own. */
const marked = (daemon: Daemon, mark: string, ...entries: readonly string[]): string =>
  documentOf(daemon.repository, ...entries, `${mark}: { state: absent }`);

const takenOver = (daemon: Daemon, mark: string) =>
  daemon.until(`${mark} is in force`, ({ document, containers }) => document.status === 'ok' && mark in containers);

/** As ln -sfn: another link, renamed over the old one. */
async function relink(target: string, path: string): Promise<void> {
  await symlink(target, `${path}.link`);
  await rename(`${path}.link`, path);
}

test('a document is taken over in whatever way it is replaced', async () => {
  await withDaemon([], [], async (daemon) => {
    const { document, directory } = daemon;
    const path = (name: string) => join(directory, name);

    const text = marked(daemon, 'in-place');
    const file = await open(document, 'r+');
    await file.truncate();
    await file.write(text.slice(0, 60));
    await file.write(text.slice(60));
    await file.close();
    await takenOver(daemon, 'in-place');

    await daemon.write(marked(daemon, 'renamed'));
    await takenOver(daemon, 'renamed');

    await rename(document, `${document}~`);
    await writeFile(document, marked(daemon, 'saved-by-an-editor'));
    await unlink(`${document}~`);
    await takenOver(daemon, 'saved-by-an-editor');

    await writeFile(path('one.yaml'), marked(daemon, 'linked'));
    await relink('one.yaml', document);
    await takenOver(daemon, 'linked');
    await writeFile(path('two.yaml'), marked(daemon, 'linked-anew'));
    await relink('two.yaml', document);
    await takenOver(daemon, 'linked-anew');
    await writeFile(path('two.yaml'), marked(daemon, 'behind-the-link'));
    await takenOver(daemon, 'behind-the-link');

    for (const version of ['v1', 'v2']) {
      await mkdir(path(version));
      await writeFile(path(`${version}/desired.yaml`), marked(daemon, `in-${version}`));
    }
    await relink('v1', path('current'));
    await relink('current/desired.yaml', document);
    await takenOver(daemon, 'in-v1');
    await relink('v2', path('current'));
    await takenOver(daemon, 'in-v2');
  });
});

test('a document that is broken, missing, empty or torn leaves the last good one in force and says where it is wrong', async () => {
  const app = await probePackage({ name: 'app' });
  const entry = 'app: { version: 1.0.0, state: running }';
  await withDaemon([app], [entry], async (daemon) => {
    const { pid } = await running(daemon, 'app');
    const good = await readFile(daemon.document, 'utf8');
    const refused = async (what: string, error: { line: number; column: number; message: RegExp }) => {
      const status = await daemon.until(what, ({ document }) => error.message.test(document.error?.message ?? ''));
      assert.equal(status.document.status, 'invalid', what);
      assert.equal(status.document.error?.line, error.line, what);
      assert.equal(status.document.error.column, error.column, what);
      assert.equal(status.document.generation, 1, what);
      assert.equal(status.containers['app']?.pid, pid, what);
    };
    await daemon.write(good.replace('state: running', 'state: flying'));
    await refused('a value that is none', { line: 5, column: 33, message: /absent.*installed.*mounted.*running/ });
    await daemon.write(good.replace('{ version', '[ version'));
    await refused('no YAML', { line: 5, column: 41, message: /flow|sequence|end with|\]/i });
    await daemon.write(good.replace('containers:', 'container:'));
    await refused('an unknown key', { line: 4, column: 1, message: /container\b/ });
    await daemon.write(good.slice(0, good.indexOf('...')));
    await refused('a torn document', { line: 0, column: 0, message: /end mark/ });
    await daemon.write('');
    await refused('an empty document', { line: 0, column: 0, message: /empty|end mark/ });
    await unlink(daemon.document);
    await refused('no document', { line: 0, column: 0, message: /missing/ });
    await daemon.write(marked(daemon, 'mended', entry));
    const mended = await takenOver(daemon, 'mended');
    assert.equal(mended.document.error, null);
    assert.equal(mended.containers['app']?.pid, pid);
  });
});

test('another version in the document replaces the container, whatever else the document names and is not there', async () => {
  const old = await probePackage({ name: 'app' });
  const next = await probePackage({ name: 'app', version: '1.1.0' });
  const extra = await probePackage({ name: 'extra' });
  await withDaemon([old], ['app: { version: 1.0.0, state: running }'], async (daemon) => {
    const { pid } = await running(daemon, 'app');
    const entries = ['app: { version: 1.1.0, state: running }', 'extra: { version: 1.0.0, state: running }'];
    await daemon.write(documentOf(daemon.repository, ...entries));
    // For its own package it waits.
    await daemon.untilContainer('app', 'waits', ({ conditions }) =>
      conditions.some(
        ({ type, status, message }) => type === 'Degraded' && status === 'True' && message.includes('not prepared'),
      ),
    );
    const status = await daemon.until(
      'extra is missing',
      ({ containers }) =>
        containers['extra']?.conditions.some(
          ({ type, status: holds }) => type === 'PackageMissing' && holds === 'True',
        ) === true,
    );
    assert.equal(status.converged, false);
    assert.ok(existsSync(`/proc/${pid}`), 'the old instance has been stopped');

    await copyFile(next, join(daemon.repository, basename(next)));
    const replaced = await runningAs(daemon, 'app', '1.1.0');
    assert.notEqual(replaced.pid, pid);
    assert.equal(replaced.restarts, 0);
    assert.ok(!existsSync(`/proc/${pid}`), 'the old instance runs beside the new one');
    await copyFile(extra, join(daemon.repository, basename(extra)));
    await running(daemon, 'extra');
    await daemon.until('converged', ({ converged }) => converged);
  });
});

test('what is applied to a document on a read-only mount runs as a whole, and commands that hold are named and dropped', async () => {
  const versions = await Promise.all(['1.0.0', '1.1.0'].map((version) => probePackage({ name: 'app', version })));
  await withDaemon(versions, [], async (daemon) => {
    const text = (version: string) => documentOf(daemon.repository, `app: { version: ${version}, state: running }`);
    const directory = join(daemon.directory, 'read-only');
    await mkdir(directory);
    await writeFile(join(directory, 'desired.yaml'), text('1.1.0'));
    await inside(daemon, 'mount', '--bind', directory, directory);
    await inside(daemon, 'mount', '-o', 'remount,bind,ro', directory);
    await relink('read-only/desired.yaml', daemon.document);
    await runningAs(daemon, 'app', '1.1.0');
    const file = join(daemon.directory, 'next.yaml');
    await writeFile(file, text('1.0.0'));
    const applied = await daemon.run('apply', '-f', file, '--wait');
    assert.equal(applied.code, 0, applied.stderr);
    assert.match(applied.stdout, /says something else; generation \d+ is kept in stateDir/);
    await runningAs(daemon, 'app', '1.0.0');
    const kept = await daemon.run('get');
    assert.match(kept.stdout, /document notWritable.*kept in stateDir/);
    const generation = /^generation (\d+)/.exec(applied.stdout)?.[1] ?? '';
    const back = await daemon.run('rollback', String(Number(generation) - 1));
    assert.equal(back.code, 0, back.stderr);
    await runningAs(daemon, 'app', '1.1.0');

    const stopped = await daemon.run('stop', 'app');
    assert.equal(stopped.code, 0, stopped.stderr);
    const held = '1 command of a console holds until the boot ends: stop app';
    for (const command of [['get'], ['explain', 'app']] as const) {
      assert.ok((await daemon.run(...command)).stdout.includes(held), command.join(' '));
    }
    assert.match((await daemon.run('describe', 'app')).stdout, /stop app +\/containers\/app\/state/);
    assert.match((await daemon.run('overlay')).stdout, /stop app +\/containers\/app\/state/);
    assert.match((await daemon.run('overlay', 'drop', 'app')).stdout, /without: stop app/);
    await running(daemon, 'app');
    await inside(daemon, 'umount', directory);
  });
});

test('a requirement stays what it was resolved to until an update is asked for, or is automatic', async () => {
  const versions = ['1.0.0', '1.1.0', '1.2.0', '1.3.0', '2.0.0'];
  const files = await Promise.all(versions.map((version) => probePackage({ name: 'app', version })));
  const [first = '', second = '', third = '', fourth = '', major = ''] = files;
  await withDaemon([first, second, major], ['app: { version: ^1, state: running }'], async (daemon) => {
    const drop = (file: string) => copyFile(file, join(daemon.repository, basename(file)));
    const condition = (type: string) =>
      daemon.untilContainer('app', `${type} is true`, ({ conditions }) =>
        conditions.some((each) => each.type === type && each.status === 'True'),
      );
    const { pid } = await runningAs(daemon, 'app', '1.1.0');
    await drop(third);
    const available = await condition('UpdateAvailable');
    assert.equal(available.pid, pid);
    assert.equal(available.version, '1.1.0');
    const { code, stderr } = await daemon.run('update', 'app');
    assert.equal(code, 0, stderr);
    await runningAs(daemon, 'app', '1.2.0');
    const history = await daemon.run('history', '-o', 'json');
    const generations = JSON.parse(history.stdout) as { generation: number; inForce: boolean }[];
    assert.deepEqual(
      generations.map(({ generation, inForce }) => [generation, inForce]),
      [
        [2, true],
        [1, false],
      ],
    );
    const back = await daemon.run('rollback', '1');
    assert.equal(back.stdout, 'generation 3\n', back.stderr);
    await runningAs(daemon, 'app', '1.1.0');

    await daemon.write(documentOf(daemon.repository, 'app: { version: ^1, state: running, update: automatic }'));
    await drop(fourth);
    const automatic = await runningAs(daemon, 'app', '1.3.0');
    await rm(join(daemon.repository, basename(fourth)));
    const missing = await condition('PackageMissing');
    assert.equal(missing.version, '1.3.0');
    assert.equal(missing.pid, automatic.pid);
    await drop(fourth);
    await daemon.untilContainer('app', 'has its package again', ({ conditions }) =>
      conditions.some(({ type, status }) => type === 'PackageMissing' && status === 'False'),
    );
  });
});

test('a package is installed from its source, again when it vanishes, and never with other bytes than the digest names', async () => {
  const good = await probePackage({ name: 'good', args: ['print', '1', 'good', 'sleep'] });
  const other = await probePackage({ name: 'other' });
  const digest = `sha256:${createHash('sha256')
    .update(await readFile(good))
    .digest('hex')}`;
  const entries = [
    `good: { version: 1.0.0, source: ${good}, digest: '${digest}', repository: packages, state: running }`,
    `other: { version: 1.0.0, source: ${other}, digest: '${digest}', repository: packages, state: running }`,
  ];
  await withDaemon([], entries, async (daemon) => {
    const { pid, version } = await running(daemon, 'good');
    assert.equal(version, '1.0.0');
    const refused = await daemon.untilContainer('other', 'is refused', ({ phase }) => phase === 'Failed');
    assert.ok(refused.conditions.some(({ status, reason }) => status === 'True' && reason === 'DigestMismatch'));
    const files = await readdir(daemon.repository);
    assert.equal(files.length, 1, files.join());

    await unlink(join(daemon.repository, files[0] ?? ''));
    await untilLogged(daemon, '"op":"install","container":"good","msg":"step performed"', 2);
    const again = await daemon.untilContainer('good', 'has its package', ({ conditions }) =>
      conditions.some(({ type, status }) => type === 'PackageMissing' && status === 'False'),
    );
    assert.equal(again.pid, pid);
    assert.equal((await readdir(daemon.repository)).length, 1);
  });
});

test('what is unmounted, removed or killed behind the back of the runtime is there again', async () => {
  const fields = 'cgroups: { cpu: { shares: 100 } }';
  const app = await probePackage({ name: 'app', fields });
  const data = await probePackage({ name: 'data' });
  const entries = [
    'app: { version: 1.0.0, state: running, restart: { backoff: 10ms } }',
    'data: { version: 1.0.0, state: mounted }',
  ];
  await withDaemon([app, data], entries, async (daemon) => {
    const { pid } = await running(daemon, 'app');
    await daemon.until('converged', ({ converged }) => converged);
    const mountIds = () => mountsOf(daemon.reconciler() ?? 0, daemon.runDir);
    const before = mountIds();
    const target = before.get('data:1.0.0');
    assert.ok(target);
    await promisify(execFile)('nsenter', [`--mount=/proc/${daemon.reconciler()}/ns/mnt`, 'umount', '--lazy', target]);
    await untilLogged(daemon, '"container":"data:1.0.0","msg":"image mounted"', 2);
    assert.deepEqual([...mountIds().keys()].sort(), [...before.keys()].sort());

    const groups = groupsOf(daemon.mark, 'app');
    assert.ok(groups.length > 0);
    await Promise.all(groups.map(removeGroup));
    assert.deepEqual(groupsOf(daemon.mark, 'app'), []);
    process.kill(pid ?? 0, 'SIGKILL');
    await running(daemon, 'app', 1);
    assert.deepEqual(groupsOf(daemon.mark, 'app'), groups);
  });
});

/** Where packages are mounted below a directory, in the mount namespace of a process (proc_pid_mountinfo(5)). */
function mountsOf(pid: number, directory: string): Map<string, string> {
  const targets = readFileSync(`/proc/${pid}/mountinfo`, 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '');
  return new Map(targets.filter((target) => target.startsWith(directory)).map((target) => [basename(target), target]));
}

/** The groups of a container's name, in every hierarchy. */
function groupsOf(root: string, name: string): string[] {
  const tops = [
    ...new Set([...hierarchies.legacy.values(), ...(hierarchies.unified === null ? [] : [hierarchies.unified])]),
  ];
  return tops.map((top) => join(top, root, `container-${name}`)).filter((group) => existsSync(group));
}

/** Removes a group and its leaves; their processes are moved to the top of the hierarchy first (cgroups(7)). */
async function removeGroup(group: string): Promise<void> {
  for (const leaf of readdirSync(group, { withFileTypes: true })) {
    if (!leaf.isDirectory()) continue;
    const path = join(group, leaf.name);
    const pids = readFileSync(join(path, 'cgroup.procs'), 'utf8').trim().split('\n');
    for (const pid of pids) if (pid !== '') writeFileSync(join(group, '../../cgroup.procs'), pid);
    await removeEmpty(path);
  }
  await removeEmpty(group);
}
