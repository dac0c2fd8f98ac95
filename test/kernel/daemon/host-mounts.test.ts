// What the host mounts while a runtime is up reaches it, whatever the propagation of the host's mounts is.
import assert from 'node:assert/strict';
import { copyFile, readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { run } from '../../support/command.ts';
import { openDescriptors } from '../../support/leaks.ts';
import { probePackage } from '../../support/packages.ts';
import { command, entry, holds } from '../../support/repository-documents.ts';
import { endsClean, running } from '../../support/scenario.ts';
import { documentOf, startDaemon } from '../../support/test-daemon.ts';

/** Runs a command in the host's mount namespace, which must succeed. */
async function host(...[program = '', ...words]: readonly string[]): Promise<void> {
  const { code, stderr } = await run(program, words);
  assert.equal(code, 0, stderr);
}

test('a file system that the host mounts over a repository is the repository, for who lists and who installs', async () => {
  const before = openDescriptors();
  const [app, other, third] = await Promise.all(['app', 'other', 'third'].map((name) => probePackage({ name })));
  assert.ok(app !== undefined && other !== undefined && third !== undefined);
  await using daemon = await startDaemon({
    packages: [app],
    document: (directory) => documentOf(directory, entry, 'other: { state: mounted }'),
  });
  const { pid } = await running(daemon, 'app');
  await host('mount', '-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', daemon.repository);
  try {
    const lost = await daemon.untilContainer('app', 'has lost its package', (each) => holds(each, 'PackageMissing'));
    assert.deepEqual([lost.pid, lost.phase], [pid, 'Running']);
    await copyFile(other, join(daemon.repository, basename(other)));
    await daemon.untilContainer('other', 'is mounted', ({ phase }) => phase === 'Mounted');
    await command(daemon, 'install', third, 'packages');
    assert.deepEqual((await readdir(daemon.repository)).sort(), [basename(other), 'third:1.0.0.npk']);
    await daemon.write(documentOf(daemon.repository, entry));
    await daemon.until('other is unmounted', ({ containers }) => !('other' in containers));
  } finally {
    await host('umount', '--lazy', daemon.repository);
  }
  const back = await daemon.untilContainer('app', 'has its package again', (each) => !holds(each, 'PackageMissing'));
  assert.equal(back.pid, pid);
  await endsClean(daemon, before);
});

test('a file that the host mounts over the document is the document, until it is unmounted', async () => {
  const before = openDescriptors();
  const app = await probePackage({ name: 'app' });
  await using daemon = await startDaemon({ packages: [app], document: (directory) => documentOf(directory, entry) });
  await running(daemon, 'app');
  const file = join(daemon.directory, 'other.yaml');
  await copyFile(daemon.document, file);
  await host('sed', '-i', 's/running/mounted/', file);
  await host('mount', '--bind', file, daemon.document);
  try {
    await daemon.untilContainer('app', 'is as the other document says', ({ phase }) => phase === 'Mounted');
  } finally {
    await host('umount', daemon.document);
  }
  await running(daemon, 'app');
  await endsClean(daemon, before);
});
