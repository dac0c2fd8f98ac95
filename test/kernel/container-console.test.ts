// Consoles that containers are given: a descriptor that answers, and goes on answering whatever becomes of the reconciler.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { documentOf, startDaemon } from '../daemon.ts';
import { leftovers, openDescriptors } from '../leaks.ts';
import { probePackage } from '../packages.ts';
import { endsClean, lines, running, withDaemon } from '../scenario.ts';
import { succeed, untilLogged } from '../successor.ts';

const hello = (subscribe: boolean) => `{"connect":{"version":"0.9.2","subscribe_notifications":${subscribe}}}`;
const say = (message: unknown) => [
  'print',
  '3',
  typeof message === 'string' ? message : JSON.stringify(message),
  'hear',
  '3',
  '1',
];

test('a container that counts over its console misses no answer and gets none twice, however often the reconciler dies', async () => {
  const turns = 1500;
  const args = [...say(hello(true)), 'count', '3', String(turns), 'print', '1', 'counted', 'sleep'];
  const counter = await probePackage({ name: 'counter', args, fields: 'console: { permissions: full }\n' });
  const other = await probePackage({ name: 'other', args: ['exit', '3'] });
  const before = openDescriptors();
  await using daemon = await startDaemon({
    packages: [counter, other],
    document: (directory) =>
      documentOf(
        directory,
        'counter: { state: running, restart: { policy: never } }',
        'other: { state: running, restart: { backoff: 100ms, maxBackoff: 100ms } }',
      ),
    configuration: 'containerConsoles: { limits: { requestsPerSecond: 1000000 } }\n',
  });
  const { pid } = await running(daemon, 'counter');
  for (let kills = 0; kills < 3; kills += 1) await succeed(daemon);
  await untilLogged(daemon, '"line":"counted"');
  assert.equal((await running(daemon, 'counter')).pid, pid);
  assert.deepEqual(await lines(daemon, 'counter'), ['{"connect_ack":null}', 'counted']);
  await endsClean(daemon, before);
});
