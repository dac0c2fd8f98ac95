// What is under way keeps the reconciler awake: a connection that is encrypted by it, an archive that is being sent, a group that
// does not come to a standstill.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { detectHierarchies } from '../../../controllers/cgroups/cgroups-observe.ts';
import { probePackage } from '../../support/packages.ts';
import { makeCertificate } from '../../support/certificate.ts';
import { freePort } from '../../support/free-port.ts';
import { asleep, eventually, staysAwake, statusOf, withSleeper } from '../../support/sleeper.ts';

const idle = await probePackage({ name: 'idle', args: ['sleep'] });
const running = 'idle: { state: running }';
/** ms that it is looked at: some rests of 200 ms, after which it would sleep. */
const looked = 1500;
const hello = '{"connect":{"version":"0.9.2","subscribe_notifications":false}}\n';

test('a connection over TLS keeps it awake as long as it lasts', async () => {
  using certificate = makeCertificate();
  const port = await freePort();
  const secured = `{ listen: "tcp://127.0.0.1:${port}", permissions: full, tls: ${certificate.configured} }`;
  await withSleeper(
    [idle],
    [running],
    async (daemon) => {
      await asleep(daemon);
      const socket = connectTls({ port, ...certificate.client });
      const lines = createInterface({ input: socket })[Symbol.asyncIterator]();
      socket.write(`${hello}{"request":"list"}\n`);
      assert.equal((await lines.next()).value, '{"connect_ack":null}');
      assert.equal((await lines.next()).value, '{"response":{"list":["idle:1.0.0"]}}');
      assert.ok(await staysAwake(daemon, looked), 'it has slept');
      socket.write('{"request":"ident"}\n');
      assert.equal((await lines.next()).value, '{"response":{"ident":"extern:0.0.0"}}');
      socket.destroy();
      await asleep(daemon);
    },
    '200ms',
    { consoles: [secured] },
  );
});

test('an archive that is being sent keeps it awake until it has come', async () => {
  const late = readFileSync(await probePackage({ name: 'late', args: ['sleep'] }));
  await withSleeper([idle], [running], async (daemon) => {
    await asleep(daemon);
    const socket = connect(daemon.console.replace('unix://', ''));
    const lines = createInterface({ input: socket })[Symbol.asyncIterator]();
    socket.write(hello);
    assert.equal((await lines.next()).value, '{"connect_ack":null}');
    await asleep(daemon);
    socket.write(`{"request":{"install":{"repository":"packages","size":${late.length}}}}\n`);
    socket.write(late.subarray(0, 1000));
    await eventually('it is awake', daemon, () => daemon.reconciler() !== null);
    assert.ok(await staysAwake(daemon, looked), 'it has slept');
    socket.write(late.subarray(1000));
    assert.match((await lines.next()).value as string, /"install":.*late/);
    await asleep(daemon);
    socket.write('{"request":"list"}\n');
    assert.equal((await lines.next()).value, '{"response":{"list":["late:1.0.0","idle:1.0.0"]}}');
    socket.destroy();
  });
});

test('a group that does not come to a standstill keeps it awake while it is waited for', async () => {
  const { unified } = detectHierarchies();
  assert.ok(unified !== null, 'there is no tree of cgroup v2');
  const disk = mkdtempSync(join(tmpdir(), 'northstate-disk-'));
  const image = `${disk}.image`;
  execFileSync('sh', ['-c', `truncate -s 8M ${image} && mkfs.ext4 -q ${image} && mount -o loop ${image} ${disk}`]);
  try {
    await withSleeper([idle], [running], async (daemon) => {
      const { pid } = (await statusOf(daemon)).containers['idle'] ?? {};
      const leaf = `${unified}${/^0::(.*)$/m.exec(readFileSync(`/proc/${pid ?? 0}/cgroup`, 'utf8'))?.[1] ?? ''}`;
      await asleep(daemon);
      // Who writes to a disk that stands still cannot be frozen (fsfreeze(8)).
      execFileSync('fsfreeze', ['--freeze', disk]);
      const writer = spawn('dd', ['if=/dev/zero', `of=${disk}/file`, 'count=1'], { stdio: 'ignore' });
      const ended = once(writer, 'exit');
      try {
        await eventually('it waits for the disk', daemon, () => stateOf(writer.pid) === 'D');
        writeFileSync(`${leaf}/cgroup.procs`, String(writer.pid));
        const paused = daemon.run('pause', 'idle');
        await eventually('it is awake', daemon, () => /^1$/m.test(readFileSync(`${leaf}/cgroup.freeze`, 'utf8')));
        assert.ok(await staysAwake(daemon, looked), 'it has slept');
        execFileSync('fsfreeze', ['--unfreeze', disk]);
        assert.equal((await paused).code, 0);
        assert.match(readFileSync(`${leaf}/cgroup.events`, 'utf8'), /^frozen 1$/m);
        await asleep(daemon);
        assert.equal((await daemon.run('resume', 'idle')).code, 0);
        await ended;
      } finally {
        if (stateOf(writer.pid) === 'D') execFileSync('fsfreeze', ['--unfreeze', disk]);
      }
    });
  } finally {
    await delay(100);
    execFileSync('umount', [disk]);
    rmSync(disk, { recursive: true });
    rmSync(image);
  }
});

/** One letter of proc(5). */
function stateOf(pid = 0): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /, '')
      .charAt(0);
  } catch {
    return '';
  }
}
