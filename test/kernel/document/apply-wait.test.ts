// What `apply --wait` says of a replacement: the old version's end is under way, and no failure.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { probePackage } from '../../support/packages.ts';
import { documentOf, startDaemon } from '../../support/test-daemon.ts';

const versions = Array.from({ length: 4 }, (_, minor) => `1.${minor}.0`);

test('a replacement is waited for until the new version runs, however the old one ends', async () => {
  const packages = await Promise.all(
    versions.map((version) => probePackage({ name: 'app', version, args: ['sleep'] })),
  );
  const document = (directory: string) => documentOf(directory, 'app: { version: 1.0.0, state: running }');
  await using daemon = await startDaemon({ packages, document });
  await daemon.untilContainer('app', 'runs', ({ phase }) => phase === 'Running');
  daemon.unwatch();
  for (const version of versions.slice(1)) {
    const file = join(daemon.directory, 'next.yaml');
    await writeFile(file, document(daemon.repository).replace('1.0.0', version));
    const { code, stdout, stderr } = await daemon.run('apply', '-f', file, '--wait', '--timeout', '60s');
    assert.deepEqual([code, stderr], [0, ''], stdout);
    assert.match(stdout, /converged/);
  }
});
