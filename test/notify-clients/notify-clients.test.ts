// Clients of sd_notify(3) that others have written, in containers (npm run test:notify; it asks the registries).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { join } from 'node:path';
import { checked } from '../bench/measure.ts';
import { probePackage } from '../support/packages.ts';
import { withDaemon } from '../support/scenario.ts';

const clients = join(import.meta.dirname, '../../.build/notify-clients');
const python = '/usr/bin/python3';

/** How each is started, and what it calls itself. */
const all = {
  c: { init: '/clients/c-client', args: [], says: 'from C' },
  go: { init: '/clients/go-client', args: [], says: 'from Go' },
  sdnotify: { init: python, args: ['/clients/sdnotify-client.py'], says: 'from sdnotify' },
  systemd: { init: python, args: ['/clients/systemd-client.py'], says: 'from python3-systemd' },
} as const;

test('clients in C, Go and Python are ready when they say so, and live as long as they say', async () => {
  await checked('sh', [join(import.meta.dirname, 'build-clients.sh'), clients]);
  const binds = ['/usr', '/lib', '/lib64'].map((path) => `${path}: { type: bind, host: ${path} }`);
  const mounts = [...binds, `/clients: { type: bind, host: ${clients} }`].join(', ');
  const packages = Object.entries(all).map(([name, { init, args }]) => {
    const env = "{ PYTHONPATH: /clients/python, LD_LIBRARY_PATH: /clients/lib, PATH: '/usr/bin' }";
    return probePackage({
      name,
      fields: `init: ${init}\nargs: ${JSON.stringify(args)}\nenv: ${env}\nmounts: { ${mounts} }\n`,
    });
  });
  const health = 'health: { ready: notify, within: 30s, watchdog: 1s }';
  const entries = Object.keys(all).map((name) => `${name}: { state: running, ${health}, restart: { policy: never } }`);
  await withDaemon(await Promise.all(packages), entries, async (daemon) => {
    const said = new Map<string, string>();
    const readyAt = new Map<string, number>();
    daemon.watch(({ containers }) => {
      for (const [name, { says, conditions }] of Object.entries(containers)) {
        if (says !== '') said.set(name, says);
        if (!readyAt.has(name) && conditions.some(({ type, status }) => type === 'Ready' && status === 'True'))
          readyAt.set(name, performance.now());
      }
    });
    for (const [name, { says }] of Object.entries(all)) {
      const end = await daemon.untilContainer(
        name,
        'has ended',
        ({ phase }) => phase === 'Failed' || phase === 'Exited',
      );
      const ready = end.conditions.find(({ type }) => type === 'Ready');
      assert.equal(ready?.reason, 'WatchdogExpired', `${name}: ${ready?.message ?? ''}`);
      assert.equal(said.get(name), says);
      // Ten signs of life in two seconds have kept it for longer than the watchdog's one.
      const since = Date.parse(end.since);
      assert.ok(readyAt.has(name) && since > 0, `${name} was never ready`);
    }
  });
});
