// The requests that Northstar does not have, against a real daemon.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect, type EventOrGap } from '../../../src/client/northstate.ts';
import { probePackage } from '../../support/packages.ts';
import { running, withDaemon } from '../../support/scenario.ts';

const app = await probePackage({ name: 'app', args: ['env', 'sleep'] });
const entry = 'app: { version: 1.0.0, state: running, env: { DATABASE: secret-of-the-app } } # mine';

test('a patch is an edit, explain names what is missing, a report has no secrets, and numbers go on over a killed reconciler', async () => {
  await withDaemon([app], [entry], async (daemon) => {
    await running(daemon, 'app');
    await using client = await connect({ url: daemon.console });
    const { sequence } = await client.call('get', null);

    const waits = { version: '^1.2', state: 'running', dependsOn: { app: 'running' } };
    const generation = await client.merge({ containers: { app: { state: 'mounted' }, late: waits } });
    const text = await readFile(daemon.document, 'utf8');
    assert.ok(text.includes('state: mounted, env: { DATABASE: secret-of-the-app } } # mine'), text);
    assert.equal(await client.wait({ timeout: 60_000, generation }), 'failed');
    const { unmet } = await client.call('explain', { name: 'late' });
    const links = (unmet?.because ?? []).map((link) => [link.container, link.unmet, link.because[0]?.reason]);
    assert.deepEqual([unmet?.container, unmet?.unmet], ['late', 'Running']);
    assert.deepEqual(links, [
      ['app', 'Running', undefined],
      ['late', 'Mounted', 'NotInstalled'],
    ]);

    const file = join(daemon.directory, 'report.zip');
    const written = await daemon.run('report', file);
    assert.equal(written.code, 0, written.stderr);
    const unzip = (name: string) => spawnSync('unzip', ['-p', file, name], { encoding: 'utf8' }).stdout;
    for (const name of ['document.json', 'observed.json', 'output/app.log']) {
      if (name !== 'observed.json') assert.match(unzip(name), /\(redacted\)/, name);
      assert.doesNotMatch(unzip(name), /secret-of-the-app/, name);
    }
    assert.match(unzip('kernel.json'), /"features"/);

    const events = client.events({ follow: true });
    const { value: first } = (await events.next()) as IteratorYieldResult<EventOrGap>;
    assert.ok('event' in first);
    assert.deepEqual(first.event, { started: 'app:1.0.0' });
    process.kill(daemon.reconciler() ?? 0, 'SIGKILL');
    await client.merge({ containers: { app: { state: 'running' } } });
    const told: string[] = [];
    for await (const event of events) {
      assert.ok('event' in event, 'a gap, though numbers go on');
      told.push(JSON.stringify(event.event));
      assert.equal(event.sequence, first.sequence + told.length);
      if (told.length === 2) break;
    }
    assert.match(told.join(), /^\{"exit":\["app:1\.0\.0",.*,\{"started":"app:1\.0\.0"\}$/);
    for await (const watched of client.watch({ boot: first.boot, sequence, status: await client.status() })) {
      assert.deepEqual([watched.gap, watched.sequence], [null, sequence + 1]);
      break;
    }
  });
});
