// The network namespace of a container: its own, the host's, or a named one.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { run } from '../../support/command.ts';
import { probePackage } from '../../support/packages.ts';
import { openBoxes } from '../../support/boxes.ts';
import { patience } from '../../support/patience.ts';

// Made first: where mounts of the host are private, a launcher that runs does not see new ones.
const name = `northstate-${randomBytes(4).toString('hex')}`;
const path = `/run/netns/${name}`;
mkdirSync('/run/netns', { recursive: true });
writeFileSync(path, '');
const made = await run('unshare', [`--net=${path}`, 'readlink', '/proc/self/ns/net']);
const boxes = await openBoxes();
after(async () => {
  await boxes[Symbol.asyncDispose]();
  await run('umount', [path]);
  rmSync(path);
});

const networkOf = (pid: number | 'self') => readlinkSync(`/proc/${pid}/ns/net`);

async function networkWith(fields: string, container: string): Promise<string> {
  const running = await boxes.launch({ package: await probePackage({ name: container, fields }), args: ['sleep'] });
  const network = networkOf(running.pid);
  await boxes.reconciler.call('kill', running.id, 9);
  await boxes.ended(running);
  return network;
}

test('gives a container a network namespace of its own, in which the loopback is up', async () => {
  assert.notEqual(await networkWith('', 'isolated'), networkOf('self'));
  const app = await probePackage({ name: 'loopback', fields: 'mounts: { /sys: { type: sysfs } }' });
  const { stdout } = await boxes.run({ package: app, args: ['cat', '/sys/class/net/lo/flags'] });
  assert.equal(stdout, '0x9\n', 'IFF_LOOPBACK and IFF_UP');
});

test('leaves a container in the network of the host when the manifest says so', async () => {
  assert.equal(await networkWith('network: host', 'hosted'), networkOf('self'));
});

test('joins a network namespace by its name', async () => {
  assert.equal(made.code, 0, made.stderr);
  assert.equal(await networkWith(`network: !namespace ${name}`, 'joined'), made.stdout.trim());
});

test('refuses a network namespace that is not there, and does not fall back to the host’s', async () => {
  const app = await probePackage({ name: 'lost', fields: 'network: !namespace no-such-network' });
  await assert.rejects(boxes.run({ package: app }), {
    message: /^network namespace no-such-network: \/run\/netns\/no-such-network cannot be opened: ENOENT/,
  });
});

/** The network namespaces that the launcher holds. */
function held(): string[] {
  const directory = `/proc/${boxes.launcher.pid}/fd`;
  const target = (fd: string): string => {
    try {
      return readlinkSync(`${directory}/${fd}`);
    } catch {
      return '';
    }
  };
  return readdirSync(directory)
    .map(target)
    .filter((found) => found.startsWith('net:'));
}

async function untilNoneIsHeld(): Promise<void> {
  const end = performance.now() + patience;
  while (held().length > 0) {
    assert.ok(performance.now() < end, 'the launcher holds one for good');
    await delay(20);
  }
}

test('after a start one is there for the next, which nobody has used, and goes when none comes', async () => {
  await untilNoneIsHeld();
  const app = await probePackage({ name: 'next', fields: 'mounts: { /sys: { type: sysfs } }' });
  const begun: Awaited<ReturnType<typeof boxes.launch>>[] = [];
  const end = performance.now() + patience;
  for (let isSpare = false; !isSpare;) {
    assert.ok(performance.now() < end, 'none was ever there');
    const before = held();
    const running = await boxes.launch({ package: app, args: ['sleep'] });
    begun.push(running);
    // On a machine that is slow it may have gone again.
    isSpare = before.includes(networkOf(running.pid));
    await delay(20);
  }
  assert.equal(new Set(begun.map(({ pid }) => networkOf(pid))).size, begun.length, 'each has its own');
  for (const each of begun) {
    await boxes.reconciler.call('kill', each.id, 9);
    await boxes.ended(each);
  }
  const { stdout } = await boxes.run({ package: app, args: ['cat', '/sys/class/net/lo/flags'] });
  assert.equal(stdout, '0x9\n', 'IFF_LOOPBACK and IFF_UP');
  await untilNoneIsHeld();
});
