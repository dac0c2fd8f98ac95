// What holds up a new document on a real daemon: a look ahead, locks, gates, and being told that it stops most of what runs.
import assert from 'node:assert/strict';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Answers } from '../../../src/client/northstate.ts';
import { probePackage } from '../../support/packages.ts';
import { documentOf, startDaemon } from '../../support/test-daemon.ts';

const gone = `/run/northstate-test-${process.pid}/gone`;
const app = await Promise.all(
  ['1.0.0', '2.0.0'].map((version) => probePackage({ name: 'app', version, args: ['sleep'] })),
);
const lacking = await probePackage({
  name: 'lacking',
  args: ['sleep'],
  fields: `mounts: { /data: { type: bind, host: ${gone} } }`,
});
const entry = (version: string): string => `app: { version: ${version}, lock: { max: 10m }, stop: { grace: 100ms } }`;

test('a look ahead, a lock, a gate and pruning hold a document up, say so, and survive the reconciler', async (t) => {
  await using daemon = await startDaemon({
    packages: [...app, lacking],
    document: (packages) => documentOf(packages, entry('1.0.0')),
  });
  t.after(() => rm(`/run/northstate-test-${process.pid}`, { recursive: true, force: true }));
  const runs = (version: string) =>
    daemon.untilContainer('app', `runs ${version}`, (is) => is.phase === 'Running' && is.version === version);
  await runs('1.0.0');
  const file = join(daemon.directory, 'next.yaml');
  const write = (...entries: string[]) => writeFile(file, documentOf(daemon.repository, ...entries));
  const onTrial = async (trial: string, ...entries: string[]): Promise<void> => {
    const text = documentOf(daemon.repository, ...entries);
    await writeFile(file, text.replace('containers:', `trial: { confirm: none${trial} }\ncontainers:`));
  };
  const killReconciler = async (): Promise<void> => {
    process.kill(daemon.reconciler() ?? 0, 'SIGKILL');
    await daemon.run('get');
  };

  // The look ahead: told without a trial, refused with one or where it is asked for.
  await write(entry('1.0.0'), 'lacking: {}');
  const planned = await daemon.run('plan', '-f', file, '-o', 'json');
  const found = (JSON.parse(planned.stdout) as Record<string, unknown>[]).filter(({ op }) => op === 'finding');
  assert.deepEqual(
    found.map(({ check, entry: of, pass, known }) => [check, of, pass, known]),
    [['host-paths', 'lacking', 'document', false]],
    planned.stdout,
  );
  assert.match(String(found[0]?.['fact']), new RegExp(`^${gone}, which it has at /data, is not there$`));
  const dry = await daemon.run('apply', '-f', file, '--dry-run');
  assert.equal(dry.code, 7, dry.stderr);
  assert.match(dry.stdout, /^finding +lacking .*is not there; make /m);
  const strict = await daemon.run('apply', '-f', file, '--strict');
  assert.deepEqual([strict.code, strict.stderr.includes('host-paths')], [7, true], strict.stderr);
  await onTrial('', entry('1.0.0'), 'lacking: {}');
  const tried = await daemon.run('apply', '-f', file);
  assert.equal(tried.code, 7, tried.stderr);
  const generations = async (): Promise<Answers['history']['generations']> =>
    JSON.parse((await daemon.run('history', '-o', 'json')).stdout) as Answers['history']['generations'];
  assert.equal((await generations()).length, 1, 'nothing has been changed');

  // A lock holds up the stop alone, and outlives the reconciler; a person goes on over it.
  const locked = await daemon.run('lock', 'app', '--ttl', '1h');
  assert.match(locked.stdout, /app locked for 600 s/, locked.stderr);
  await write(entry('2.0.0'));
  assert.equal((await daemon.run('apply', '-f', file)).code, 0);
  await killReconciler();
  const explained = async (): Promise<string> => (await daemon.run('explain', 'app')).stdout;
  for (let tries = 0; !(await explained()).includes('a lock holds it up'); tries++)
    assert.ok(tries < 300, await explained());
  assert.equal((await daemon.run('apply', '-f', file, '--force')).code, 0);
  await runs('2.0.0');
  const shown = (await daemon.run('history')).stdout;
  assert.match(shown, /\(forced\)/);
  assert.deepEqual(
    (await generations()).map(({ forced }) => forced),
    [true, false, false],
  );

  // A gate holds up what is staged, and opens by itself.
  const gate = join(daemon.directory, 'parked');
  await onTrial(`, when: { exists: ${gate} }`, entry('1.0.0'));
  assert.equal((await daemon.run('apply', '-f', file)).code, 0);
  await daemon.until('the gate holds it up', ({ trial }) => trial?.waits?.includes(`until ${gate} is there`) === true);
  assert.match((await daemon.run('explain', 'app')).stdout, /^generation \d+ is staged: .*is there/m);
  await killReconciler();
  await runs('2.0.0');
  await mkdir(gate);
  await runs('1.0.0');
  await daemon.until('confirmed', ({ trial }) => trial?.state === 'confirmed');

  // More than half of what runs is not stopped by mistake.
  await onTrial('', 'app: { version: 1.0.0, state: installed }');
  const pruned = await daemon.run('apply', '-f', file);
  assert.equal(pruned.code, 1, pruned.stdout);
  assert.match(pruned.stderr, /would stop 1 of 1 containers that run \(app\).*--prune/);
  assert.equal((await daemon.run('apply', '-f', file, '--prune')).code, 0);
  await daemon.untilContainer('app', 'is stopped', ({ phase }) => phase === 'Installed');
  assert.equal(await daemon.stop(), 0);
});
