import assert from 'node:assert/strict';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { documentOf, startDaemon } from '../../support/test-daemon.ts';
import { probePackage } from '../../support/packages.ts';
import { running } from '../../support/scenario.ts';
import { killReconciler, successor, timesReady } from '../../support/successor.ts';

test('the sockets of a container are there from its start to its end, whatever happens to the reconciler', async () => {
  const args = ['receive', '3', 'sleep'];
  const fields = 'sockets: { log: { type: datagram, mode: 0o622 } }';
  const packages = await Promise.all(['stays', 'ends'].map((name) => probePackage({ name, args, fields })));
  const entry = (name: string) => `${name}: { version: 1.0.0, state: running, restart: { policy: never } }`;
  const document = (directory: string) => documentOf(directory, entry('stays'), entry('ends'));
  await using daemon = await startDaemon({ packages, document });
  const directory = join(daemon.runDir, 'sockets');
  const files = () => readdirSync(directory).sort();
  const { pid } = await running(daemon, 'stays');
  const other = await running(daemon, 'ends');
  assert.deepEqual(files(), ['ends:1.0.0:log', 'stays:1.0.0:log']);
  assert.equal(statSync(directory).mode & 0o777, 0o711, 'whoever has it mounted reaches them');

  // Nobody sees the end but the successor.
  const { ino } = statSync(join(directory, 'stays:1.0.0:log'));
  const nth = await timesReady(daemon);
  process.kill(daemon.pid, 'SIGSTOP');
  process.kill(other.pid ?? 0, 'SIGKILL');
  await killReconciler(daemon);
  process.kill(daemon.pid, 'SIGCONT');
  await successor(daemon, nth + 1);
  await daemon.untilContainer('ends', 'has ended', ({ phase }) => phase === 'Exited');
  assert.deepEqual(files(), ['stays:1.0.0:log']);
  assert.equal(statSync(join(directory, 'stays:1.0.0:log')).ino, ino);

  // Another instance has a socket of its own.
  const { code, stderr } = await daemon.run('restart', 'stays');
  assert.equal(code, 0, stderr);
  await daemon.untilContainer('stays', 'runs anew', (now) => now.phase === 'Running' && now.pid !== pid);
  assert.deepEqual(files(), ['stays:1.0.0:log']);
  assert.notEqual(statSync(join(directory, 'stays:1.0.0:log')).ino, ino);

  assert.equal(await daemon.stop(), 0, daemon.log());
  assert.deepEqual(files(), []);
});
