import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { spawnSync } from 'node:child_process';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { createMemoryFile } from '../../../native/memfd.ts';
import { openJournal } from '../../../src/runtime/journal.ts';
import { createRedactor } from '../../../src/report/redact.ts';
import { createReporter, type ReportPorts } from '../../../src/report/support-report.ts';
import type { LogLine } from '../../../src/runtime/runtime.ts';
import { fakeRuntime } from '../../support/console/fake-runtime.ts';
import { scratchDirectory } from '../../support/console/scratch.ts';

test('a journal gives what came after a number, and nothing when it does not reach back so far', () => {
  const journal = openJournal<string>({ fd: createMemoryFile('journal'), first: 100, most: 3 });
  assert.deepEqual([journal.last(), journal.since(99), journal.since(98)], [99, [], null]);
  for (const item of 'abcd') journal.add(item);
  assert.deepEqual(journal.all(), ['b', 'c', 'd']);
  assert.deepEqual([journal.since(103), journal.since(101), journal.since(100)], [[], ['c', 'd'], ['b', 'c', 'd']]);
  assert.deepEqual([journal.since(99), journal.since(104)], [null, null]);
});

test('values of variables, keys, tokens and passwords are taken out, and nothing else', () => {
  const redact = createRedactor();
  assert.deepEqual(
    redact.value({
      env: { DATABASE: 'postgres://user:pw@host', EMPTY: null },
      key: '/etc/northstate/integrator.pub',
      token: 'AAAA',
      args: ['--password=hunter2', '--level', 'debug'],
      name: 'broker',
    }),
    {
      env: { DATABASE: '(redacted)', EMPTY: null },
      key: '/etc/northstate/integrator.pub',
      token: '(redacted)',
      args: ['--password=(redacted)', '--level', 'debug'],
      name: 'broker',
    },
  );
  assert.equal(redact.text('connecting to postgres://user:pw@host'), 'connecting to (redacted)');
  assert.equal(redact.text('api_key: "abc" ok'), 'api_key: "(redacted)" ok');
  const pem = '-----BEGIN PRIVATE KEY-----\nMC4CAQ\n-----END PRIVATE KEY-----';
  assert.equal(redact.text(`a ${pem} b`), 'a (redacted) b');
});

test('a report is one archive of everything that explains the state, and one at a time', async (context) => {
  const directory = await scratchDirectory(context);
  const secret = 'very-secret-value';
  const runtime = fakeRuntime({
    packages: [{ manifest: { name: 'broker', version: '1.2.3', env: { A: secret } }, repository: 'system' }],
  });
  const line: LogLine = { time: 0, stream: 'stdout', line: `my secret is ${secret}` };
  const ports: ReportPorts = {
    runDir: directory,
    boot: 'this-boot',
    state: () => runtime.state(),
    history: () => runtime.history(),
    events: () => [],
    explain: () => null,
    document: () => ({ containers: { broker: { env: { A: secret } } } }),
    async *logs() {
      await Promise.resolve();
      for (let count = 0; count < 3000; count++) yield line;
    },
    bootPlan: () => ({ played: null, kept: null }),
    kernel: () => Promise.resolve({ release: 'test' }),
  };
  const report = createReporter(ports);
  const first = report();
  const iterator = first[Symbol.asyncIterator]();
  const begun = await iterator.next();
  await assert.rejects(buffer(report()), /being made already/);
  const rest = await buffer({ [Symbol.asyncIterator]: () => iterator });
  const archive = Buffer.concat([begun.value as Buffer, rest]);
  assert.equal(archive.includes(secret), false);
  const path = join(directory, 'report.zip');
  await writeFile(path, archive);
  const { stdout, status } = spawnSync('unzip', ['-Z1', path], { encoding: 'utf8' });
  assert.equal(status, 0);
  const names = ['report', 'document', 'observed', 'status', 'explain', 'history', 'events', 'boot', 'kernel'];
  assert.deepEqual(stdout.trim().split('\n'), [...names.map((name) => `${name}.json`), 'output/broker.log']);
  const output = spawnSync('unzip', ['-p', path, 'output/broker.log'], { encoding: 'utf8' }).stdout;
  assert.ok(output.length <= 64 * 1024 && output.includes('my secret is (redacted)'));
  assert.ok((await buffer(report())).length > 0);
});
