import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import type { PlannedStep } from '../../../src/client/console-client.ts';
import { readPackage } from '../../../src/npk/open-package.ts';
import type { Status } from '../../../state/status.ts';
import { northstate, type Output } from '../../support/command.ts';
import { documentOf, type Daemon } from '../../support/test-daemon.ts';
import { probePackage } from '../../support/packages.ts';
import { running, withDaemon } from '../../support/scenario.ts';
import { untilLogged } from '../../support/successor.ts';

const app = await probePackage({
  name: 'app',
  args: ['print', '1', 'to stdout', 'print', '2', 'to stderr', 'signals'],
});
const phase = (daemon: Daemon, name: string, wanted: string) =>
  daemon.untilContainer(name, `is ${wanted}`, (container) => container.phase === wanted);

async function succeeds(output: Promise<Output>, expected?: string): Promise<string> {
  const { code, stdout, stderr } = await output;
  assert.equal(code, 0, stderr);
  assert.equal(stderr, '');
  if (expected !== undefined) assert.equal(stdout, expected);
  return stdout;
}

/** A failure is one line on stderr, and nothing on stdout. */
async function fails(output: Promise<Output>, code: number, message: RegExp): Promise<void> {
  const result = await output;
  assert.deepEqual({ code: result.code, stdout: result.stdout }, { code, stdout: '' });
  assert.match(result.stderr, message);
  assert.match(result.stderr, /^northstate: [^\n]+\n$/);
}

const commented = (packages: string): string => `apiVersion: northstate/v1 # as the vendor delivered it
repositories:
  packages: { type: fs, dir: ${packages} }
containers:
  # The one that all is about.
  app:
    version: ^1   # not 2
    state: running
    stop: { grace: 1s }   # it is quick
...
`;

test('commands are edits of the document: a field changes, comments and all else stay', async () => {
  await withDaemon([app], [], async (daemon) => {
    const before = commented(daemon.repository);
    await daemon.write(before);
    const text = () => readFile(daemon.document, 'utf8');
    const first = await running(daemon, 'app');

    await succeeds(daemon.run('stop', 'app'), 'app stopped\n');
    assert.equal(await text(), before.replace('state: running', 'state: mounted'));
    assert.ok(!existsSync(`/proc/${first.pid}`));
    await succeeds(daemon.run('umount', 'app'), 'app:1.0.0 umounted\n');
    assert.equal(await text(), before.replace('state: running', 'state: installed'));
    assert.equal((await phase(daemon, 'app', 'Installed')).mounted, false);
    await succeeds(daemon.run('mount', 'app'), 'app:1.0.0 mounted\n');
    await succeeds(daemon.run('start', 'app'), 'app:1.0.0 started\n');
    const second = await running(daemon, 'app');
    // The run that it needed for that is not asked for any more.
    assert.equal(await text(), before);
    await succeeds(daemon.run('restart', 'app'), 'app restarted\n');
    const third = await daemon.untilContainer('app', 'runs anew', ({ pid }) => pid !== null && pid !== second.pid);
    assert.equal(await text(), before);
    await succeeds(daemon.run('kill', 'app', 'USR1'), 'app:1.0.0 got SIGUSR1\n');
    await untilLogged(daemon, '"line":"signal 10"');
    assert.equal((await running(daemon, 'app')).pid, third.pid);
    await succeeds(daemon.run('kill', 'app'), 'app:1.0.0 got SIGTERM\n');
    assert.ok((await text()).includes('state: mounted\n'));
    assert.deepEqual((await phase(daemon, 'app', 'Mounted')).lastExit, { code: 0 });
    for (const comment of ['# as the vendor delivered it', '# The one that all is about.', '# not 2', '# it is quick'])
      assert.ok((await text()).includes(comment), comment);
  });
});

test('a change for this boot leaves the document as it is, and a later edit of the same field wins', async () => {
  await withDaemon([app], ['app: { version: 1.0.0, state: running }'], async (daemon) => {
    await running(daemon, 'app');
    const before = await readFile(daemon.document, 'utf8');
    await succeeds(daemon.run('stop', '--boot', 'app'));
    assert.equal(await readFile(daemon.document, 'utf8'), before);
    assert.equal((await phase(daemon, 'app', 'Mounted')).desired, 'mounted');
    await fails(daemon.run('stop', '--document', 'app'), 1, /app: is not to run/);
    await daemon.write(documentOf(daemon.repository, 'app: { version: 1.0.0, state: installed }'));
    await phase(daemon, 'app', 'Installed');
    await fails(daemon.run('start', '--boot', '--document', 'app'), 2, /exclude each other/);
  });
});

test('install puts a package into a repository and the document, uninstall takes both away, for once', async () => {
  const extra = await probePackage({ name: 'extra', args: ['args', 'env', 'sleep'] });
  await withDaemon([app], ['app: { version: ^1, state: mounted }'], async (daemon) => {
    const put = () => copyFile(app, join(daemon.repository, basename(app)));
    await phase(daemon, 'app', 'Mounted');
    await succeeds(daemon.run('uninstall', 'app:1.0.0'), 'app:1.0.0 uninstalled\n');
    assert.doesNotMatch(await readFile(daemon.document, 'utf8'), /absent|app/);
    await put();
    await succeeds(daemon.run('install', extra, 'packages'), 'extra:1.0.0 installed\n');
    assert.ok((await readFile(daemon.document, 'utf8')).includes('extra:1.0.0'));
    await phase(daemon, 'extra:1.0.0', 'Installed');
    await fails(daemon.run('install', extra, 'packages'), 1, /extra:1\.0\.0.*installed already|already/);
    await fails(daemon.run('install', extra, 'nowhere'), 1, /nowhere/);
    await fails(daemon.run('install', join(daemon.directory, 'none.npk'), 'packages'), 1, /ENOENT/);
    await writeFile(join(daemon.directory, 'bad.npk'), 'no package');
    await fails(daemon.run('install', join(daemon.directory, 'bad.npk'), 'packages'), 1, /./);

    await succeeds(daemon.run('start', 'extra', 'LEVEL=high', '/probe', 'args', 'env', 'sleep'));
    await phase(daemon, 'extra:1.0.0', 'Running');
    await untilLogged(daemon, '"line":"LEVEL=high"');
    const described = await succeeds(daemon.run('describe', 'extra:1.0.0'));
    assert.match(described, /Running/);
    assert.match(described, /STILL TO DO\nnothing/);
    await fails(daemon.run('uninstall', 'extra'), 1, /./);
    await succeeds(daemon.run('stop', 'extra'));
    await succeeds(daemon.run('uninstall', 'extra:1.0.0'), 'extra:1.0.0 uninstalled\n');
    await daemon.until('the entry is gone', ({ containers }) => !('extra:1.0.0' in containers));
    assert.ok(!existsSync(join(daemon.repository, basename(extra))));
    // What somebody has put there since is nobody's to delete.
    assert.ok(existsSync(join(daemon.repository, basename(app))));
  });
});

test('get, describe and logs show a container, and say what there is not', async () => {
  await withDaemon([app], ['app: { version: 1.0.0, state: running }'], async (daemon) => {
    const { pid } = await running(daemon, 'app');
    const status = JSON.parse(await succeeds(daemon.run('get', '-o', 'json'))) as Status;
    assert.equal(status.containers['app']?.pid, pid);
    assert.match(await succeeds(daemon.run('get')), new RegExp(`app +1\\.0\\.0 +running +Running +${pid}`));
    assert.match(await succeeds(daemon.run('get', '-o', 'yaml')), /phase: Running/);
    const description = JSON.parse(await succeeds(daemon.run('describe', 'app', '-o', 'json'))) as { name: string };
    assert.equal(description.name, 'app');
    const { stdout, stderr } = await daemon.run('logs', 'app');
    assert.deepEqual([stdout, stderr], ['to stdout\nready\n', 'to stderr\n']);
    await fails(daemon.run('describe', 'nobody'), 1, /nobody/);
    await fails(daemon.run('logs', 'nobody'), 1, /nobody/);
    await fails(daemon.run('start', 'nobody'), 1, /there is no container nobody/);
    await fails(daemon.run('start', 'app'), 1, /app.*running/);
    await fails(daemon.run('kill', 'app', 'NONSENSE'), 2, /NONSENSE/);
    await fails(daemon.run('flap', 'app'), 2, /flap/);
  });
});

test('get --watch and logs -f show what comes', async () => {
  await withDaemon([app], ['app: { version: 1.0.0, state: running }'], async (daemon) => {
    await running(daemon, 'app');
    const env = { ...process.env, NORTHSTATE_CONSOLE: daemon.console };
    const follow = async (args: readonly string[], wanted: RegExp, act: () => Promise<unknown>, first: RegExp) => {
      const child = spawn(northstate, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
      let acted = false;
      for await (const line of createInterface(child.stdout)) {
        if (!acted && first.test(line)) {
          acted = true;
          await act();
        }
        if (acted && wanted.test(line)) break;
      }
      assert.ok(acted);
      const ended = once(child, 'close');
      child.kill();
      await ended;
    };
    await follow(['logs', '-f', 'app'], /^signal 10$/, () => succeeds(daemon.run('kill', 'app', 'USR1')), /^ready$/);
    await follow(['get', '--watch'], /app +.*Mounted/, () => succeeds(daemon.run('stop', 'app')), /app +.*Running/);
  });
});

test('apply --wait ends with 0 when the document is reached, 3 when it failed for good, 4 when time is over', async () => {
  const broken = await probePackage({ name: 'broken', fields: 'init: /missing' });
  const deaf = await probePackage({ name: 'deaf', args: ['ignore', '15', 'print', '1', 'deaf', 'sleep'] });
  await withDaemon([app, broken, deaf], [], async (daemon) => {
    const apply = async (entry: string, ...options: readonly string[]) => {
      const file = join(daemon.directory, 'next.yaml');
      await writeFile(file, documentOf(daemon.repository, entry));
      return await daemon.run('apply', '-f', file, '--wait', ...options);
    };
    const good = 'app: { version: 1.0.0, state: running }';
    assert.match(await succeeds(apply(good)), /^generation \d+\nconverged\n$/);
    await running(daemon, 'app');
    const failed = await apply('broken: { version: 1.0.0, state: running }');
    assert.equal(failed.code, 3, failed.stderr);
    assert.match(failed.stderr, /failed for good/);
    const deafEntry = (state: string) => `deaf: { version: 1.0.0, state: ${state}, stop: { grace: 5s } }`;
    await succeeds(apply(deafEntry('running')));
    await untilLogged(daemon, '"line":"deaf"');
    const late = await apply(deafEntry('mounted'), '--timeout', '500ms');
    assert.equal(late.code, 4, late.stderr);
    assert.match(late.stderr, /not reached after 0\.5 s/);
    const missing = await apply('nobody: { version: 1.0.0, state: running }', '--timeout', '2s');
    assert.equal(missing.code, 3, missing.stderr);
    const before = await readFile(daemon.document, 'utf8');
    await fails(apply('app: { state: flying }'), 1, /line 5, column \d+/);
    await fails(apply(good, '--expect', '1'), 1, /generation \d+ is in force/);
    assert.equal(await readFile(daemon.document, 'utf8'), before);
  });
});

test('plan prints the steps that are then executed', async () => {
  const extra = await probePackage({ name: 'extra' });
  await withDaemon([app, extra], ['app: { version: 1.0.0, state: running }'], async (daemon) => {
    await running(daemon, 'app');
    await daemon.until('converged', ({ converged }) => converged);
    assert.equal(await succeeds(daemon.run('plan')), 'nothing to do\n');
    const file = join(daemon.directory, 'next.yaml');
    await writeFile(file, documentOf(daemon.repository, 'extra: { version: 1.0.0, state: running }'));
    const planned = JSON.parse(await succeeds(daemon.run('plan', '-f', file, '-o', 'json'))) as PlannedStep[];
    await daemon.until('nothing has happened', ({ containers }) => containers['app']?.phase === 'Running');
    const logged = async () =>
      (await readFile(join(daemon.directory, 'log'), 'utf8'))
        .split('\n')
        .filter((line) => line.includes('"step performed"'))
        .map((line) => JSON.parse(line) as { op: string; container: string });
    const before = (await logged()).length;
    await succeeds(daemon.run('apply', '-f', file, '--wait'));
    const performed = (await logged()).slice(before);
    for (const name of ['app', 'extra']) {
      const executed = performed.filter(({ container }) => container === name).map(({ op }) => op);
      assert.deepEqual(
        planned.filter((step) => step.name === name).map(({ op }) => op),
        executed,
        name,
      );
    }
    assert.equal(planned.length, performed.length);
  });
});

test('every answer of a command carries the reason', async () => {
  const broken = join(await mkdtemp(join(tmpdir(), 'northstate-broken-')), 'broken-1.0.0.npk');
  try {
    // The superblock stays, all behind it is nonsense: it is read as a package, and no kernel mounts it.
    const bytes = await readFile(await probePackage({ name: 'broken', version: '1.0.0' }));
    const { image } = await readPackage(await probePackage({ name: 'broken', version: '1.0.0' }));
    bytes.fill(0xa5, image.offset + 96, image.offset + image.size);
    await writeFile(broken, bytes);
    await withDaemon([broken], ['broken: { state: installed, restart: { policy: never } }'], async (daemon) => {
      const reason = /holds no squashfs image that this kernel can read/;
      await fails(daemon.run('start', 'broken'), 1, reason);
      await fails(daemon.run('mount', 'broken'), 1, reason);
      const { stdout } = await daemon.run('get');
      assert.match(stdout, /NotMounted: mount broken:1\.0\.0: E\w+: /);
      await daemon.write(documentOf(daemon.repository, 'broken: { state: running }'));
      await daemon.untilContainer('broken', 'is to run, and cannot', ({ desired, phase: now }) => {
        return desired === 'running' && now === 'Failed';
      });
      await fails(daemon.run('restart', 'broken'), 1, reason);
    });
  } finally {
    await rm(dirname(broken), { recursive: true });
  }
});

test('what is between two runs can be uninstalled', async () => {
  const crash = await probePackage({ name: 'crash', args: ['exit', '1'] });
  const looping = 'crash: { version: 1.0.0, state: running, restart: { backoff: 60s } }';
  await withDaemon([crash], [looping], async (daemon) => {
    await phase(daemon, 'crash', 'Backoff');
    await succeeds(daemon.run('uninstall', 'crash:1.0.0'), 'crash:1.0.0 uninstalled\n');
  });
});

test('a resource whose user is between two runs is uninstalled at once, also with a sandbox that is kept ready', async () => {
  const data = await probePackage({ name: 'data' });
  const fields = 'mounts: { /data: { type: resource, name: data, version: ^1, dir: / } }';
  const reader = await probePackage({ name: 'reader', args: ['exit', '1'], fields });
  const entries = [
    'data: { version: 1.0.0, state: installed }',
    'reader: { version: 1.0.0, state: running, prepare: true, restart: { backoff: 60s } }',
  ];
  await withDaemon([data, reader], entries, async (daemon) => {
    await phase(daemon, 'reader', 'Backoff');
    const begun = performance.now();
    await succeeds(daemon.run('uninstall', 'data:1.0.0'), 'data:1.0.0 uninstalled\n');
    const took = performance.now() - begun;
    assert.ok(took < 8000, `it took ${took.toFixed(0)} ms: it waits for nothing`);
    assert.ok(!existsSync(join(daemon.repository, basename(data))));
  });
});
