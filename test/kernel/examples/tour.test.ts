// The examples of the tour that speak to the runtime, and show what they are given: what each README says is to be seen.
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { patience } from '../../support/patience.ts';
import { startDaemon, type Daemon } from '../../support/test-daemon.ts';
import type { ContainerStatus } from '../../../state/status.ts';
import { run } from '../../support/command.ts';

const examples = join(import.meta.dirname, '../../../examples/tour');
const names = globSync('*/manifest.yaml', { cwd: examples }).map((path) => path.split('/')[0] ?? '');
const packages = names.map((name) => join(import.meta.dirname, `../../../.build/examples/${name}-1.0.0.npk`));

/** What a container has written, once it fits. */
async function says(daemon: Daemon, name: string, wanted: RegExp): Promise<string> {
  const until = performance.now() + patience;
  for (;;) {
    const { stdout } = await daemon.run('logs', name);
    if (wanted.test(stdout)) return stdout;
    assert.ok(performance.now() < until, `${name} does not say ${String(wanted)}: ${stdout}`);
    await delay(200);
  }
}

/** As ip-netns(8) makes one; gives what removes it. One that somebody else has made stays. */
async function namedNetwork(): Promise<() => Promise<void>> {
  const path = '/run/netns/northstate-example';
  if (existsSync(path)) return async () => undefined;
  await mkdir('/run/netns', { recursive: true });
  await writeFile(path, '');
  assert.equal((await run('unshare', [`--net=${path}`, 'true'])).code, 0);
  return async () => {
    await run('umount', [path]);
    await rm(path);
  };
}

test('the examples that speak to the runtime and to each other show what they say', async (context) => {
  const remove = await namedNetwork();
  context.after(remove);
  await using daemon = await startDaemon({
    packages,
    document: (directory) =>
      readFileSync(join(examples, 'tour.yaml'), 'utf8').replace('/var/lib/northstate/packages', directory),
  });
  const phase = (name: string, wanted: string) =>
    daemon.untilContainer(name, `is ${wanted}`, (container) => container.phase === wanted);

  // It was told to end, and is not started again.
  await daemon.untilContainer('console', 'has ended', ({ lastExit }) => lastExit !== null);
  assert.deepEqual((await phase('console', 'Mounted')).lastExit, { signal: 15 });
  const spoken = await says(daemon, 'console', /permission_denied/);
  assert.match(spoken, /"connect_ack"[^]*"ident":"console:1\.0\.0"[^]*"inspect":\{"ok"/);
  assert.deepEqual((await phase('seccomp', 'Exited')).lastExit, { signal: 31, syscall: 'socket' });
  await says(daemon, 'seccomp', /^a unix socket: descriptor 3\na network socket: is not allowed\n$/);

  const seen = await says(daemon, 'inspect', / \/proc proc /);
  assert.match(seen, /^host name inspect, pid \d+, uid 1000, gid 1000$/m);
  assert.match(seen, /^GREETING=hello$/m);
  assert.match(seen, /^CapEff:\t0+$/m);

  assert.match(await says(daemon, 'netns', /^device lo$/m), /^device lo\n$/m);
  // It says how it is, and hangs when it is told to: it is ended, and begins anew.
  const isReady = ({ conditions }: ContainerStatus) =>
    conditions.some(({ type, status }) => type === 'Ready' && status === 'True');
  const well = await daemon.untilContainer('health', 'is ready', isReady);
  assert.equal(well.says, 'open for business');
  assert.equal((await daemon.run('kill', 'health', 'USR1')).code, 0);
  await daemon.untilContainer('health', 'begins anew', (status) => status.restarts === 1 && isReady(status));

  await says(daemon, 'sockets', /^received: hello$/m);
  await says(daemon, 'token-client', /welcome[^]*go away/);
  await says(daemon, 'redis-client', /^visit 2$/m);
  assert.equal((await daemon.run('restart', 'redis-server')).code, 0);
  const counted = await says(daemon, 'redis-client', /visit 2\n[^]*visit [3-9]\n/);
  assert.equal(counted.split('visit 1\n').length, 2, 'what it had counted is gone');
});
