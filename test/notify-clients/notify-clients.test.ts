// Clients of sd_notify(3) that others have written, in containers (npm run test:notify; it asks the registries).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { join } from 'node:path';
import type { ContainerStatus } from '../../state/status.ts';
import { checked } from '../bench/measure.ts';
import { probePackage } from '../support/packages.ts';
import { withDaemon } from '../support/scenario.ts';
import { documentOf } from '../support/test-daemon.ts';

const clients = join(import.meta.dirname, '../../.build/notify-clients');
const python = '/usr/bin/python3';

/** systemd-notify itself, which Debian's init system brings. */
const shell = `systemd-notify --ready --status="from systemd-notify"
for i in 1 2 3 4 5 6 7 8 9 10; do systemd-notify WATCHDOG=1; sleep 0.2; done
exec sleep 3600`;

/** How each is started, and what it calls itself. */
const all = {
  c: { init: '/clients/c-client', args: [], says: 'from C' },
  go: { init: '/clients/go-client', args: [], says: 'from Go' },
  rust: { init: '/clients/rust-client', args: [], says: 'from Rust' },
  sdnotify: { init: python, args: ['/clients/sdnotify-client.py'], says: 'from sdnotify' },
  systemd: { init: python, args: ['/clients/systemd-client.py'], says: 'from python3-systemd' },
  command: { init: '/usr/bin/sh', args: ['-c', shell], says: 'from systemd-notify' },
} as const;

/** Where they run: with a /dev its socket is a path in it, which is all that the Rust crate takes; without, an abstract name. */
const places = {
  own: { mounts: ', /dev: { type: dev }', network: '' },
  shared: { mounts: ', /dev: { type: dev }', network: 'network: !host\n' },
  abstract: { mounts: '', network: '' },
  both: { mounts: '', network: 'network: !host\n' },
} as const;

const cases = Object.entries(all).flatMap(([client, how]) =>
  Object.entries(places)
    .filter(([place]) => client !== 'rust' || place === 'own' || place === 'shared')
    .map(([place, where]) => ({ name: `${client}-${place}`, ...how, ...where })),
);

test('clients in C, Go, Rust and Python are ready when they say so, and live as long as they say', async () => {
  await checked('sh', [join(import.meta.dirname, 'build-clients.sh'), clients]);
  const binds = ['/usr', '/lib', '/lib64'].map((path) => `${path}: { type: bind, host: ${path} }`);
  const shared = [...binds, `/clients: { type: bind, host: ${clients} }`].join(', ');
  const packages = cases.map(({ name, init, args, mounts, network }) => {
    const env = "{ PYTHONPATH: /clients/python, LD_LIBRARY_PATH: /clients/lib, PATH: '/usr/bin' }";
    return probePackage({
      name,
      fields: `init: ${init}\nargs: ${JSON.stringify(args)}\nenv: ${env}\nmounts: { ${shared}${mounts} }\n${network}`,
    });
  });
  const health = 'health: { ready: notify, within: 30s, watchdog: 1s }';
  const entries = cases.map(({ name }) => `${name}: { state: running, ${health}, restart: { policy: never } }`);
  await withDaemon(await Promise.all(packages), [], async (daemon) => {
    const said = new Map<string, string>();
    const wasReady = new Set<string>();
    daemon.watch(({ containers }) => {
      for (const [name, { says, conditions }] of Object.entries(containers)) {
        if (says !== '') said.set(name, says);
        if (conditions.some(({ type, status }) => type === 'Ready' && status === 'True')) wasReady.add(name);
      }
    });
    await daemon.write(documentOf(daemon.repository, ...entries));
    for (const { name, says } of cases) {
      const hasEnded = ({ phase }: ContainerStatus) => phase === 'Failed' || phase === 'Exited';
      const end = await daemon.untilContainer(name, 'has ended', hasEnded);
      const ready = end.conditions.find(({ type }) => type === 'Ready');
      assert.equal(ready?.reason, 'WatchdogExpired', `${name}: ${ready?.message ?? ''}`);
      assert.equal(said.get(name), says);
      assert.ok(wasReady.has(name), `${name} was never ready`);
    }
  });
});
