// The named sockets of a container: bound by the host, used by the application, gone with it.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { probePackage } from '../../support/packages.ts';
import { openBoxes } from '../../support/boxes.ts';

const boxes = await openBoxes();
after(() => boxes[Symbol.asyncDispose]());
const { socketDir } = boxes;

const fields = `mounts: { /sockets: { type: sockets } }
sockets:
  events: { type: seq_packet, mode: 0o600, uid: 1000, gid: 1001 }
  log: { type: datagram, mode: 0o622, passcred: true }
  control: { type: stream, mode: 0o660, uid: 1000, gid: 1000 }
`;

test('binds sockets of all kinds, and gives them to the application by their names', async () => {
  const box = await probePackage({ name: 'sockets', fields });
  const send = (kind: number, name: string) => ['send', `${kind}`, `/sockets/sockets:1.0.0:${name}`, `to ${name}`];
  const { stdout, stderr, exit } = await boxes.run({
    package: box,
    args: ['env', 'fds', ...send(5, 'events'), ...send(2, 'log'), ...send(1, 'control'), 'receive', '3'].concat([
      ...['receive', '4', 'receive', '5'],
    ]),
  });
  assert.deepEqual([exit, stderr], [{ code: 0 }, '']);
  const lines = stdout.trimEnd().split('\n');
  assert.deepEqual(
    lines.filter((line) => line.startsWith('NORTHSTAR_SOCKET_')),
    ['NORTHSTAR_SOCKET_events=3', 'NORTHSTAR_SOCKET_log=4', 'NORTHSTAR_SOCKET_control=5'],
  );
  const rest = lines.filter((line) => !line.startsWith('NORTHSTAR_'));
  assert.deepEqual(rest, ['0', '1', '2', '3', '4', '5', 'to events', 'to log', 'from uid 1000', 'to control']);
});

test('gives the file of a socket its mode and owner', async () => {
  const box = await probePackage({ name: 'owners', fields });
  const running = await boxes.launch({ package: box, args: ['sleep'] });
  const files = ['events', 'log', 'control'].map((name) => {
    const { uid, gid, mode } = statSync(join(socketDir, `owners:1.0.0:${name}`));
    return [uid, gid, (mode & 0o7777).toString(8)];
  });
  assert.deepEqual(files, [
    [1000, 1001, '600'],
    [0, 0, '622'],
    [1000, 1000, '660'],
  ]);
  await boxes.reconciler.call('kill', running.id, 9);
  await boxes.ended(running);
});

test('replaces what is in the place of a socket, and follows no link there', async () => {
  const box = await probePackage({ name: 'stale', fields });
  const outside = join(boxes.dataDir, 'outside');
  writeFileSync(outside, 'untouched');
  symlinkSync(outside, join(socketDir, 'stale:1.0.0:log'));
  const left = createServer().listen(join(socketDir, 'stale:1.0.0:events'));
  await once(left, 'listening');
  const args = ['send', '2', '/sockets/stale:1.0.0:log', 'hello', 'receive', '4'];
  const { stdout } = await boxes.run({ package: box, args });
  assert.equal(stdout, 'hello\nfrom uid 1000\n');
  assert.equal(readFileSync(outside, 'utf8'), 'untouched');
  left.close();
});

test('does not start where a socket cannot be put, and leaves nothing of it', async () => {
  const box = await probePackage({ name: 'blocked', fields });
  mkdirSync(join(socketDir, 'blocked:1.0.0:log'));
  await assert.rejects(boxes.run({ package: box }), {
    message: new RegExp(`^the socket blocked:1.0.0:log in ${socketDir}: EISDIR`),
  });
  assert.deepEqual(
    readdirSync(socketDir).filter((file) => file.startsWith('blocked') || file.startsWith('.')),
    ['blocked:1.0.0:log'],
  );
});

test('binds a socket whose path is longer than an address, and names one whose name is longer than a file’s', async () => {
  const named = (length: number) => `sockets: { ${'s'.repeat(length)}: { type: datagram, mode: 0o600 } }`;
  const box = await probePackage({ name: 'long', fields: named(240) });
  const running = await boxes.launch({ package: box, args: ['sleep'] });
  assert.ok(statSync(join(socketDir, `long:1.0.0:${'s'.repeat(240)}`)).isSocket());
  await boxes.reconciler.call('kill', running.id, 9);
  await boxes.ended(running);
  const longer = await probePackage({ name: 'longer', fields: named(250) });
  await assert.rejects(boxes.run({ package: longer }), { message: /has a name of more than 255 bytes$/ });
});

test('removes the files of sockets that nobody holds any more, and no others', async () => {
  const box = await probePackage({ name: 'swept', fields });
  const used = join(socketDir, 'swept:1.0.1:used');
  const server = createServer().listen(used);
  await once(server, 'listening');
  const other = join(socketDir, 'swept:1.0.1:file');
  writeFileSync(other, '');
  const running = await boxes.launch({ package: box, args: ['sleep'] });
  const files = () => readdirSync(socketDir).filter((file) => file.startsWith('swept:'));
  await boxes.sweepSockets('swept');
  assert.equal(files().length, 5);
  await boxes.reconciler.call('kill', running.id, 9);
  await boxes.ended(running);
  await boxes.sweepSockets('swept');
  assert.deepEqual(files(), ['swept:1.0.1:file', 'swept:1.0.1:used']);
  server.close();
  await boxes.sweepSockets(null);
  assert.ok(!existsSync(used));
});
