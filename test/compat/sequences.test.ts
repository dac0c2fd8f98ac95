// What Northstar's clients do one request after the other, against a daemon under a northstar.toml and real containers.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { connectConsole, NoConsole, type Client } from '../../src/client/console-client.ts';
import { leftovers, openDescriptors } from '../support/leaks.ts';
import { probePackage } from '../support/packages.ts';
import { startNorthstar, type Northstar } from './northstar-daemon.ts';

interface Statistics {
  readonly cpu: { readonly stat: string };
  readonly memory: { readonly memory: { readonly usage_in_bytes: number } };
}

interface Device {
  readonly client: Client;
  readonly northstar: Northstar;
  /** A start that must be answered with ok. */
  start(container: string, ...words: readonly string[]): Promise<void>;
  /** Resolves when the client is told that a container has ended. */
  exited(container: string): Promise<void>;
  /** Rejects unless the one container is unmounted. */
  umount(container: string): Promise<void>;
}

async function withDevice(packages: readonly string[], body: (device: Device) => Promise<void>): Promise<void> {
  await using northstar = await startNorthstar({ config: 'configs/full.toml', packages });
  const client = await connectConsole(northstar.console, { subscribe: true });
  const told = client.notifications()[Symbol.asyncIterator]();
  try {
    await body({
      client,
      northstar,
      async start(container, ...words) {
        await client.call('start', { container, init: null, arguments: words, environment: {} });
      },
      async exited(container) {
        for (;;) {
          const next = await told.next();
          if (next.done === true) throw new Error(`the console ended before ${container} did`);
          const notification: unknown = next.value;
          if (typeof notification !== 'object' || notification === null || !('exit' in notification)) continue;
          const [ended] = notification.exit as [string, unknown];
          if (ended === container) return;
        }
      },
      async umount(container) {
        assert.deepEqual(await client.call('umount', { containers: [container] }), [{ ok: { container } }]);
      },
    });
  } finally {
    client.close();
  }
}

test('the start of one version is the end of the entry of another, whose run has ended', async () => {
  await withDevice(['npk/idle-1.0.0.npk', 'npk/idle-1.1.0.npk'], async ({ start, exited }) => {
    for (const version of ['1.0.0', '1.1.0', '1.0.0', '1.1.0']) {
      await start(`idle:${version}`, 'exit', '0');
      await exited(`idle:${version}`);
    }
  });
});

test('a version that runs is not ended by the start of another', async () => {
  await withDevice(['npk/idle-1.0.0.npk', 'npk/idle-1.1.0.npk'], async ({ start, client }) => {
    await start('idle:1.0.0');
    await assert.rejects(start('idle:1.1.0'), {
      reason: 'start_container_started',
      detail: { container: 'idle:1.0.0' },
    });
    const { data } = await client.call('inspect', { container: 'idle:1.0.0' });
    assert.notEqual(data['process'], null);
  });
});

test('a resource is unmounted after its user has ended, again and again', async () => {
  const packages = ['npk/mount-resource-1.0.0.npk', 'npk/shared-data-1.0.0.npk'];
  await withDevice(packages, async ({ start, exited, umount, client }) => {
    const [user, resource] = ['mount-resource:1.0.0', 'shared-data:1.0.0'];
    const isMounted = async (container: string) => (await client.call('inspect', { container })).data['mounted'];
    for (let round = 0; round < 3; round++) {
      await start(user);
      await exited(user);
      assert.deepEqual([await isMounted(user), await isMounted(resource)], [true, true]);
      await umount(resource);
      await umount(user);
    }
    for (let round = 0; round < 3; round++) {
      await start(user, 'sleep');
      assert.deepEqual(await client.call('umount', { containers: [resource] }), [
        { error: { container: resource, error: { umount_busy: { container: user } } } },
      ]);
      await client.call('kill', { container: user, signal: 15 });
      await exited(user);
      await umount(user);
      assert.equal(await isMounted(resource), true);
      await umount(resource);
    }
  });
});

test('a wipe counts when no other version is there, and else says for whom the data stays', async () => {
  const fields = 'mounts: { /data: { type: persist } }\n';
  const packages = ['1.0.0', '2.0.0'].map((version) => probePackage({ name: 'keeper', version, fields }));
  await withDevice(await Promise.all(packages), async ({ start, exited, client, northstar }) => {
    const kept = join(northstar.directory, 'data/keeper/kept');
    await start('keeper:1.0.0', 'write', '/data/kept', 'text');
    await exited('keeper:1.0.0');
    await start('keeper:1.0.0', 'sleep');
    const first = await client.call('uninstall', { container: 'keeper:2.0.0', wipe: true });
    assert.deepEqual(first, { container: 'keeper:2.0.0', data_kept_for: ['keeper:1.0.0'] });
    assert.ok(existsSync(kept));
    await client.call('kill', { container: 'keeper:1.0.0', signal: 9 });
    await exited('keeper:1.0.0');
    const second = await client.call('uninstall', { container: 'keeper:1.0.0', wipe: true });
    assert.deepEqual(second, { container: 'keeper:1.0.0' });
    assert.ok(!existsSync(kept));
  });
});

test('whoever gets in finds the images mounted that are to be mounted at the start', async () => {
  const versions = Array.from({ length: 30 }, (_, index) => `1.${index}.0`);
  const packages = versions.map((version) => probePackage({ name: `image-${version}`, version }));
  const edit = (toml: string) => toml.replace('[repositories.system]', '$&\nmount_on_start = true');
  const device = { config: 'configs/full.toml', packages: await Promise.all(packages) };
  await using northstar = await startNorthstar(device, { edit, atOnce: true });
  const client = await firstIn(northstar.console);
  try {
    for (const version of versions) {
      const { data } = await client.call('inspect', { container: `image-${version}:${version}` });
      assert.equal(data['mounted'], true, version);
    }
  } finally {
    client.close();
  }
});

/** Gets in as soon as there is a console. */
async function firstIn(url: string): Promise<Client> {
  for (;;) {
    const client = await connectConsole(url).catch((error: unknown) => {
      if (error instanceof NoConsole) return null;
      throw error;
    });
    if (client !== null) return client;
    await delay(1);
  }
}

test('every container has statistics, whatever its manifest says of groups', async () => {
  await withDevice(['npk/idle-1.0.0.npk'], async ({ start, client }) => {
    await start('idle:1.0.0');
    const { data } = await client.call('inspect', { container: 'idle:1.0.0' });
    const { statistics } = data['process'] as { statistics: Statistics };
    const { cpu, memory } = statistics;
    assert.match(cpu.stat, /^nr_periods \d+$|^usage_usec \d+$/m);
    assert.ok(memory.memory.usage_in_bytes > 0);
  });
});

test('a container that has ended has no process and no group any more when it is told, whatever it has forked', async () => {
  const bomb = await probePackage({ name: 'bomb', fields: 'uid: 61341\ngid: 61341\n' });
  await withDevice([bomb], async ({ start, exited, client, northstar }) => {
    const left = async (): Promise<string[]> => {
      const all = await leftovers(basename(northstar.directory), openDescriptors(), 0);
      return all.filter((line) => line.includes('container-bomb') || line.includes('/probe'));
    };
    for (const words of ['exit 0', 'orphans 400 exit 0', 'orphans 400 raise 9', 'orphans 400 eat 20 exit 1']) {
      await start('bomb:1.0.0', ...words.split(' '));
      await exited('bomb:1.0.0');
      assert.deepEqual(await left(), [], words);
    }
    await start('bomb:1.0.0', 'orphans', '400', 'sleep');
    assert.notDeepEqual(await left(), []);
    await client.call('kill', { container: 'bomb:1.0.0', signal: 9 });
    await exited('bomb:1.0.0');
    assert.deepEqual(await left(), []);
  });
});
