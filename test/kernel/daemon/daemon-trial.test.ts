// Documents on trial on the real kernel: a bad one goes back by itself, a good one stays, whoever is killed and however often the
// device is started anew.
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { digestOf } from '../../../controllers/repositories/repository-install.ts';
import { fileServer } from '../../support/file-server.ts';
import { probePackage } from '../../support/packages.ts';
import { cutPower } from '../../support/reboot.ts';
import { documentOf, startDaemon, type Daemon } from '../../support/test-daemon.ts';
import type { Status } from '../../../state/status.ts';

const runs = (name: string, version: string) => (status: Status) => {
  const found = status.containers[name];
  return found?.phase === 'Running' && found.version === version && status.converged;
};
const isTrial = (state: string, generation: number | null) => (status: Status) =>
  status.trial?.state === state && (generation === null || status.trial.generation === generation);

/** A command line that runs a runtime in another boot, as far as it can tell. */
async function bootOf(directory: string, id: string): Promise<string[]> {
  const file = join(directory, 'boot_id');
  await writeFile(file, `${id}\n`);
  const script = `mount --bind ${file} /proc/sys/kernel/random/boot_id && exec "$@"`;
  return ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', script, 'sh'];
}

async function rebooted(daemon: Daemon, id: string, configuration: string): Promise<Daemon> {
  await cutPower(daemon);
  const prefix = await bootOf(daemon.directory, id);
  return await startDaemon({ packages: [], directory: daemon.directory, configuration, prefix });
}

async function applied(daemon: Daemon, text: string): Promise<number> {
  await writeFile(join(daemon.directory, 'new.yaml'), text);
  const { code, stdout, stderr } = await daemon.run('apply', '-f', join(daemon.directory, 'new.yaml'), '--json');
  assert.equal(code, 0, stderr);
  return Number(/"generation":(\d+)/.exec(stdout)?.[1]);
}

test('an update goes back by itself when it is bad and stays when it is good, over kills and boots', async () => {
  const [first, bad, good, later, other] = await Promise.all([
    probePackage({ name: 'app' }),
    probePackage({ name: 'app', version: '2.0.0', args: ['exit', '3'] }),
    probePackage({ name: 'app', version: '3.0.0' }),
    probePackage({ name: 'app', version: '4.0.0' }),
    probePackage({ name: 'other' }),
  ]);
  const document = (packages: string, version: string, more = '') =>
    documentOf(
      packages,
      `app: { version: ${version}, settle: 100ms${more} }`,
      'other: { version: 1.0.0, settle: 100ms }',
    );
  const configuration = 'trial: { soak: 500ms, within: 1m, boots: 1 }\n';
  let daemon = await startDaemon({
    packages: [first, bad, good, other],
    document: (packages) => document(packages, '1.0.0'),
    configuration,
  });
  try {
    const { repository } = daemon;
    await daemon.until('the first document', runs('app', '1.0.0'));
    assert.equal((await daemon.until('other', runs('other', '1.0.0'))).trial, null);
    const untouched = (await daemon.until('other', runs('other', '1.0.0'))).containers['other']?.pid;

    // A good one is confirmed, and says so to who waits for it.
    const confirmed = await applied(daemon, document(repository, '3.0.0'));
    const waited = await daemon.run('wait', '--for', 'confirmed', '--generation', String(confirmed));
    assert.equal(waited.code, 0, waited.stderr);
    await daemon.until('the good one', runs('app', '3.0.0'));
    assert.equal((await daemon.until('other', runs('other', '1.0.0'))).containers['other']?.pid, untouched);

    // A bad one goes back: file, containers and all; it is in quarantine, and so is its package.
    const refused = await applied(daemon, document(repository, '2.0.0', ', restart: { policy: never }'));
    const failed = await daemon.run('wait', '--for', 'confirmed', '--generation', String(refused));
    assert.equal(failed.code, 3, failed.stdout);
    assert.match(failed.stderr, /it was reverted: app: Exited|it was reverted: app/);
    const back = await daemon.until(
      'back',
      (status) => isTrial('reverted', refused)(status) && runs('app', '3.0.0')(status),
    );
    assert.equal(back.trial?.cause?.reason, 'NotHealthy');
    assert.equal(await readFile(daemon.document, 'utf8'), document(repository, '3.0.0'));
    assert.match(await readFile(`${daemon.document}.reverted-${refused}`, 'utf8'), /2\.0\.0/);
    const { stdout: listed } = await daemon.run('quarantine', '-o', 'json');
    const names = (JSON.parse(listed) as { name: string }[]).map(({ name }) => name).sort();
    assert.deepEqual(names, ['app:2.0.0', `generation ${refused}`]);
    const again = await daemon.run('apply', '-f', join(daemon.directory, 'new.yaml'));
    assert.equal(again.code, 1);
    assert.match(again.stderr, /quarantine/);

    // One whose package is not there is staged, and touches nothing; a killed reconciler goes on with it.
    const before = back.containers['app']?.pid;
    const staged = await applied(daemon, document(repository, '4.0.0'));
    const waits = await daemon.until(
      'staged',
      (status) => isTrial('staged', staged)(status) && status.trial?.waits !== null,
    );
    assert.match(waits.trial?.waits ?? '', /app: 4\.0\.0 is not installed/);
    assert.match((await daemon.run('get')).stdout, /is staged since .*nothing has been touched yet/);
    assert.equal(waits.containers['app']?.pid, before);
    process.kill(daemon.reconciler() ?? 0, 'SIGKILL');
    const installed = await daemon.run('install', later, 'packages');
    assert.equal(installed.code, 0, installed.stderr);
    await daemon.until('active', (status) => isTrial('active', staged)(status) || isTrial('confirmed', staged)(status));
    process.kill(daemon.reconciler() ?? 0, 'SIGKILL');
    await daemon.until('confirmed', (status) => isTrial('confirmed', staged)(status) && runs('app', '4.0.0')(status));

    // Boots are counted; after the last that is allowed the confirmed one runs.
    const manual = `${document(repository, '1.0.0').replace('...\n', '')}trial: { confirm: manual }\n...\n`;
    const onTrial = await applied(daemon, manual);
    await daemon.until('on trial', (status) => isTrial('active', onTrial)(status) && runs('app', '1.0.0')(status));
    daemon = await rebooted(daemon, '11111111-1111-1111-1111-111111111111', configuration);
    const second = await daemon.until('the second boot', runs('app', '1.0.0'));
    assert.deepEqual([second.trial?.state, second.trial?.boots], ['active', 1]);
    assert.match((await daemon.run('trial')).stdout, /it was interrupted: one boot has begun with it/);
    daemon = await rebooted(daemon, '22222222-2222-2222-2222-222222222222', configuration);
    const third = await daemon.until(
      'back again',
      (status) => isTrial('reverted', onTrial)(status) && runs('app', '4.0.0')(status),
    );
    assert.equal(third.trial?.cause?.reason, 'TooManyBoots');
    assert.equal(await readFile(daemon.document, 'utf8'), document(repository, '4.0.0'));
    const { stdout: events } = await daemon.run('events');
    assert.match(events, new RegExp(`generation ${onTrial} is reverted`));
  } finally {
    await daemon[Symbol.asyncDispose]();
  }
});

test('what is staged says what its server does, and when it is asked again', async () => {
  const first = await probePackage({ name: 'app' });
  const second = await probePackage({ name: 'app', version: '2.0.0' });
  await using server = await fileServer({ 'app.npk': await readFile(second) });
  server.misbehave = (_, response) => {
    response.writeHead(503, { 'retry-after': '20' }).end();
    return true;
  };
  await using daemon = await startDaemon({
    packages: [first],
    document: (packages) => documentOf(packages, 'app: { version: 1.0.0, settle: 100ms }'),
    configuration: 'trial: { soak: 500ms, within: 1m, boots: 1 }\n',
  });
  await daemon.until('the first runs', runs('app', '1.0.0'));
  const digest = await digestOf(second, new AbortController().signal);
  const source = `source: "${server.url('app.npk').href}", digest: "${digest}"`;
  await daemon.write(documentOf(daemon.repository, `app: { version: 2.0.0, settle: 100ms, ${source} }`));
  await daemon.until('it says why', ({ trial }) => trial?.waits?.includes('503') === true);
  const { stdout } = await daemon.run('trial');
  assert.match(
    stdout,
    /it waits for: app: 2\.0\.0 is not installed \(install is under way: .*503.* \(try 2 of 5 at 2\d{3}-/,
  );
  assert.match((await daemon.run('explain', 'app')).stdout, /503/);
});
