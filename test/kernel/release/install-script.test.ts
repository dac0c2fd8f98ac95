// The archive on devices without a package manager: a root of busybox and glibc, and one that cannot be written to.
import assert from 'node:assert/strict';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { run } from '../../support/command.ts';
import { isIn, makeDeviceRoot, type Device, type DeviceRoot } from '../../support/device-root.ts';
import { leftovers, openDescriptors } from '../../support/leaks.ts';
import { probePackage } from '../../support/packages.ts';
import { patience } from '../../support/patience.ts';
import { architecture, release, unpack } from '../../support/made-release.ts';

let work = '';
let script = '';

before(async () => {
  work = await mkdtemp(join(tmpdir(), 'northstate-release-'));
  const archive = (await release(join(work, 'out'))).find((name) => name.endsWith('.tar.zst')) ?? '';
  assert.match(archive, new RegExp(`^northstate-\\d+\\.\\d+\\.\\d+-${architecture}\\.tar\\.zst$`));
  await mkdir(join(work, 'unpacked'));
  script = await unpack(join(work, 'out', archive), join(work, 'unpacked'));
});
after(() => rm(work, { recursive: true }));

const hello = (version: string): Promise<string> => probePackage({ name: 'hello', version, args: ['sleep'] });

/** Settings and a first document for a root, with the package in `folder`. */
async function provision(root: DeviceRoot, folder: string): Promise<void> {
  await mkdir(join(root.directory, folder), { recursive: true });
  await copyFile(await hello('1.0.0'), join(root.directory, folder, 'hello-1.0.0.npk'));
  await writeFile(join(root.directory, 'etc/northstate/config.yaml'), `cgroup: ${root.mark}\n`);
  const document = `apiVersion: northstate/v1
repositories: { system: { type: fs, dir: ${folder} }, inbox: { type: fs, dir: /var/lib/northstate/inbox } }
containers: { hello: { version: ^1, state: running } }
...
`;
  await writeFile(join(root.directory, 'etc/northstate/desired.yaml'), document);
}

/** Waits until the document is reached; gives the version of hello that runs. */
async function runningVersion(device: Device): Promise<string> {
  const { code, stderr } = await device.run('northstate', 'wait', '--for', 'converged', '--timeout', '60s');
  assert.equal(code, 0, stderr);
  const { stdout } = await device.run('northstate', 'get', '-o', 'json');
  const { containers } = JSON.parse(stdout) as {
    containers: Record<string, { version: string; phase: string } | undefined>;
  };
  assert.equal(containers['hello']?.phase, 'Running');
  return containers['hello'].version;
}

/** A directory that has just come is found when its watch rings. */
async function inboxFound(device: Device): Promise<void> {
  const late = performance.now() + patience;
  for (;;) {
    const { stdout } = await device.run('northstate', 'get', '-o', 'json');
    const { repositories } = JSON.parse(stdout) as { repositories: Record<string, { problems: readonly string[] }> };
    if (repositories['inbox']?.problems.length === 0) return;
    assert.ok(performance.now() < late, stdout);
  }
}

async function update(device: Device, root: DeviceRoot): Promise<void> {
  const file = await readFile(await hello('1.1.0'));
  await writeFile(join(root.directory, 'usr/hello-1.1.0.npk'), file);
  const { code: made, stderr: unmade } = await device.run('mkdir', '-p', '/var/lib/northstate/inbox');
  assert.equal(made, 0, unmade);
  await inboxFound(device);
  for (const words of [
    ['northstate', 'install', '/usr/hello-1.1.0.npk', 'inbox'],
    ['northstate', 'update', 'hello'],
  ]) {
    const { code, stderr } = await device.run(...words);
    assert.equal(code, 0, `${words.join(' ')}: ${stderr}`);
  }
}

test('a root of busybox and glibc: install, run, update, reboot, uninstall, and nothing stays', async () => {
  const before = openDescriptors();
  await using root = await makeDeviceRoot();
  const fresh = await readdir(root.directory, { recursive: true });
  const installed = await run('busybox', ['sh', script, '--root', root.directory, '--enable']);
  assert.deepEqual([installed.code, installed.stderr], [0, '']);
  await provision(root, '/var/lib/northstate/packages');
  {
    await using device = await root.boot({ readOnly: false });
    await device.start();
    assert.equal(await runningVersion(device), '1.0.0');
    await update(device, root);
    assert.equal(await runningVersion(device), '1.1.0');
    assert.equal(await device.shutDown(), 0);
  }
  {
    await using device = await root.boot({ readOnly: false });
    await device.start();
    assert.equal(await runningVersion(device), '1.1.0');
  }
  // A newer version over it: what the older one had besides goes, a changed configuration stays.
  await writeFile(join(root.directory, 'usr/lib/northstate/bundle/gone.mjs'), '');
  const list = join(root.directory, 'usr/lib/northstate/installed');
  await writeFile(list, `${await readFile(list, 'utf8')}usr/lib/northstate/bundle/gone.mjs\n`);
  const again = await run('busybox', ['sh', script, '--root', root.directory]);
  assert.deepEqual([again.code, again.stderr], [0, '']);
  assert.match(again.stdout, /config\.yaml stays as it is/);
  assert.ok(!isIn(root, 'usr/lib/northstate/bundle/gone.mjs'));
  assert.equal(await readFile(join(root.directory, 'etc/northstate/config.yaml'), 'utf8'), `cgroup: ${root.mark}\n`);

  const removed = await run('busybox', ['sh', script, '--root', root.directory, '--uninstall']);
  assert.deepEqual([removed.code, removed.stderr], [0, '']);
  assert.ok(isIn(root, 'var/lib/northstate/packages/hello-1.0.0.npk') && isIn(root, 'etc/northstate/config.yaml'));
  assert.deepEqual(await remaining(root, 'usr/lib/northstate'), []);
  assert.ok(!isIn(root, 'usr/bin/northstate'));
  await run('busybox', ['sh', script, '--root', root.directory]);
  await run('busybox', ['sh', script, '--root', root.directory, '--purge']);
  await rm(join(root.directory, 'usr/hello-1.1.0.npk'));
  const left = await readdir(root.directory, { recursive: true });
  const made = ['etc/northstate', 'etc/systemd', 'etc/systemd/system', 'etc/systemd/system/multi-user.target.wants'];
  assert.deepEqual(
    left.filter((name) => !fresh.includes(name) && !made.includes(name) && !/^(tmp|var)(\/|$)/.test(name)),
    [],
  );
  assert.deepEqual(await leftovers(root.mark, before), []);
});

test('a root that cannot be written to, with /var on a tmpfs: what was installed is back after each boot', async () => {
  const before = openDescriptors();
  await using root = await makeDeviceRoot();
  await run('sh', [script, '--root', root.directory]);
  await provision(root, '/usr/share/northstate/packages');
  await copyFile(await hello('1.1.0'), join(root.directory, 'usr/hello-1.1.0.npk'));
  for (const _boot of [1, 2]) {
    await using device = await root.boot({ readOnly: true });
    assert.notEqual((await device.run('touch', '/usr/x')).code, 0);
    // A repository is there as soon as its directory is seen, which may be a moment after it is made.
    await device.run('mkdir', '-p', '/var/lib/northstate/inbox');
    await device.start();
    assert.equal(await runningVersion(device), '1.0.0');
    const installed = await device.run('northstate', 'install', '/usr/hello-1.1.0.npk', 'inbox');
    assert.equal(installed.code, 0, installed.stderr);
    assert.equal((await device.run('northstate', 'update', 'hello')).code, 0);
    assert.equal(await runningVersion(device), '1.1.0');
    assert.equal(await device.shutDown(), 0);
  }
  assert.deepEqual(await leftovers(root.mark, before), []);
});

test('the update module for Mender: each state of its protocol, in the orders in which the client calls them', async () => {
  const before = openDescriptors();
  await using root = await makeDeviceRoot();
  await run('sh', [script, '--root', root.directory]);
  await provision(root, '/usr/share/northstate/packages');
  const seed = await readFile(join(root.directory, 'etc/northstate/desired.yaml'), 'utf8');
  // As the client lays it out: the payload in `files`, room for the module in `tmp`.
  const artifact = async (name: string, version: string, more = ''): Promise<string> => {
    await mkdir(join(root.directory, 'root', name, 'files'), { recursive: true });
    await copyFile(await hello(version), join(root.directory, 'root', name, `files/hello-${version}.npk`));
    const document = seed.replace(/containers: .*/, `containers: { hello: { version: ${version} }${more} }`);
    await writeFile(join(root.directory, 'root', name, 'files/desired.yaml'), document);
    return `/root/${name}`;
  };
  const good = await artifact('good', '1.1.0');
  const bad = await artifact('bad', '1.2.0', ', missing: { version: 1.0.0 }');
  await mkdir(join(root.directory, 'var/lib/northstate/inbox'), { recursive: true });
  {
    await using device = await root.boot({ readOnly: false });
    await device.start();
    const module = '/usr/share/northstate/integration/mender/northstate';
    const call = async (files: string, ...states: readonly string[]): Promise<string> => {
      let said = '';
      for (const state of states) {
        const { code, stdout, stderr } = await device.run(
          'sh',
          '-c',
          'cd "$2" && exec "$0" "$1" "$2"',
          module,
          state,
          files,
        );
        assert.equal(code, 0, `${state}: ${stdout}${stderr}`);
        said = stdout;
      }
      return said;
    };
    assert.equal(await call(good, 'SupportsRollback'), 'Yes\n');
    assert.equal(await call(good, 'NeedsArtifactReboot'), 'No\n');
    // Rolled back: by the client, whose next state failed. Twice says no more than once.
    await call(good, 'Download', 'ArtifactInstall');
    assert.equal(await runningVersion(device), '1.1.0');
    await call(good, 'ArtifactRollback', 'ArtifactRollback', 'ArtifactFailure', 'Cleanup');
    assert.equal(await runningVersion(device), '1.0.0');
    assert.equal((await device.run('northstate', 'list')).stdout, 'hello:1.0.0\n');
    // A power cut before the commit: the client, up again, rolls back.
    await call(good, 'Download', 'ArtifactInstall');
    assert.equal(await device.shutDown(), 0);
    await device.start();
    await call(good, 'ArtifactRollback', 'ArtifactFailure', 'Cleanup');
    assert.equal(await runningVersion(device), '1.0.0');
    // Committed: what comes later does not go back behind it.
    await call(good, 'Download', 'ArtifactInstall', 'ArtifactCommit', 'Cleanup');
    const { code, stderr } = await device.run(module, 'ArtifactInstall', bad);
    assert.equal(code, 1, stderr);
    assert.match(stderr, /all is as before/);
    await call(bad, 'ArtifactRollback', 'ArtifactFailure', 'Cleanup');
    assert.equal(await runningVersion(device), '1.1.0');
    assert.equal((await device.run('northstate', 'list')).stdout, 'hello:1.0.0\nhello:1.1.0\n');
  }
  assert.deepEqual(await leftovers(root.mark, before), []);
});

/** What lies in a directory of the root; nothing when it is not there. */
async function remaining(root: DeviceRoot, path: string): Promise<string[]> {
  return isIn(root, path) ? await readdir(join(root.directory, path), { recursive: true }) : [];
}
