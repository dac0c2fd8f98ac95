// What a trial goes back to stays there: packages that the new document wants gone, that a console deletes, and over resets; and what
// has failed stays known.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { probePackage } from '../../support/packages.ts';
import { cutPower, reboot } from '../../support/reboot.ts';
import { documentOf, startDaemon, type Daemon } from '../../support/test-daemon.ts';
import type { Status } from '../../../state/status.ts';

const configuration = 'trial: { soak: 300ms, within: 5m, boots: 3 }\n';
const manual = (text: string): string => `${text.replace('...\n', '')}trial: { confirm: manual }\n...\n`;
const runs = (version: string, state?: string) => (status: Status) => {
  const found = status.containers['app'];
  const isReady = found?.conditions.some(({ type, status: is }) => type === 'Ready' && is === 'True') === true;
  const isThere = isReady && found.version === version && status.converged;
  return isThere && (state === undefined || status.trial?.state === state);
};

async function applied(daemon: Daemon, text: string, code = 0): Promise<string> {
  const file = join(daemon.directory, 'new.yaml');
  await writeFile(file, text);
  const result = await daemon.run('apply', '-f', file);
  assert.equal(result.code, code, result.stderr);
  return result.stderr;
}

test('a trial deletes nothing that it may go back to, and waits for what a console has deleted', async () => {
  const [first, second, third] = await Promise.all(
    ['1.0.0', '2.0.0', '2.1.0'].map((version) => probePackage({ name: 'app', version })),
  );
  let daemon = await startDaemon({
    packages: [first ?? '', second ?? ''],
    document: (repository) => documentOf(repository, 'app: { version: 1.0.0, settle: 100ms }'),
    configuration,
  });
  try {
    const document = (...more: string[]): string =>
      documentOf(daemon.repository, 'app: { version: ^2, settle: 100ms }', ...more);
    const file = join(daemon.repository, 'app-1.0.0.npk');
    await daemon.until('the first', runs('1.0.0'));

    // What it wants gone stays as long as it may be gone back to.
    await applied(daemon, manual(document('"app:1.0.0": { state: absent }')));
    const trial = await daemon.until('on trial', (status) => {
      const found = status.containers['app'];
      return found?.phase === 'Running' && found.version === '2.0.0' && status.trial?.state === 'active';
    });
    assert.deepEqual(trial.trial?.lacking, []);
    assert.ok(existsSync(file));

    // A reset of what containers keep leaves it as well.
    await cutPower(daemon);
    assert.equal((await daemon.run('reset', '--data', '--config', join(daemon.directory, 'config.yaml'))).code, 0);
    daemon = await startDaemon({ packages: [], directory: daemon.directory, configuration });
    await daemon.until('on trial again', (status) => status.trial?.state === 'active');
    assert.ok(existsSync(file));

    // The command for it says no more than the document, and is told why it stays.
    const refused = await daemon.run('uninstall', 'app:1.0.0');
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /it is deleted when that is confirmed/);

    // Where the document does not want it gone a console may delete it, which is said; the way back waits until it is there again.
    await applied(daemon, manual(document()));
    await daemon.until('superseded', (status) => status.trial?.state === 'active' && status.trial.generation > 2);
    const uninstalled = await daemon.run('uninstall', 'app:1.0.0');
    assert.equal(uninstalled.code, 0, uninstalled.stderr);
    const lacking = await daemon.until('incomplete', (status) => status.trial?.lacking.length === 1);
    assert.deepEqual(lacking.trial?.lacking, ['app:1.0.0']);
    assert.match((await daemon.run('trial')).stdout, /to go back, these are lacking: app:1\.0\.0/);
    await daemon.run('revert');
    const waiting = await daemon.until(
      'the way back waits',
      (status) => status.trial?.state === 'reverting' && /app/.test(status.trial.waits ?? ''),
    );
    assert.equal(waiting.containers['app']?.version, '1.0.0');
    const installed = await daemon.run('install', first ?? '', 'packages');
    assert.equal(installed.code, 0, installed.stderr);
    await daemon.until('back', runs('1.0.0', 'reverted'));

    // What has failed stays known over boots, and over a reset of everything else.
    assert.match(await applied(daemon, manual(document()), 1), /quarantine/);
    daemon = await reboot(daemon, { configuration });
    assert.match(await applied(daemon, manual(document()), 1), /quarantine/);
    await cutPower(daemon);
    assert.equal((await daemon.run('reset', '--all', '--config', join(daemon.directory, 'config.yaml'))).code, 0);
    daemon = await startDaemon({
      ...{ packages: [third ?? ''], directory: daemon.directory, configuration },
      document: (repository) => documentOf(repository, 'app: { version: 1.0.0, settle: 100ms }'),
    });
    await daemon.until('the factory again', runs('1.0.0'));
    assert.match((await daemon.run('quarantine')).stdout, /document +generation \d+/);
    assert.match(await applied(daemon, manual(document()), 1), /quarantine/);

    // An update while a document is staged is of what is in force; the document comes into force all the same.
    await applied(
      daemon,
      documentOf(daemon.repository, 'app: { version: ^2, settle: 100ms }').replace(
        '...\n',
        `trial: { confirm: manual, when: { exists: ${join(daemon.directory, 'gate')} } }\n...\n`,
      ),
    );
    await daemon.until('staged', (status) => status.trial?.state === 'staged');
    const updated = await daemon.run('update', 'app');
    assert.equal(updated.code, 0, updated.stderr);
    const still = await daemon.until('as it was', runs('1.0.0', 'staged'));
    assert.match(still.trial?.waits ?? '', /gate/);
    await writeFile(join(daemon.directory, 'gate'), '');
    await daemon.until('in force', runs('2.1.0', 'active'));
  } finally {
    await daemon[Symbol.asyncDispose]();
  }
});
