// What a burst of work took of memory comes back when it is over.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { withSleeper } from '../../support/sleeper.ts';
import type { Daemon } from '../../support/test-daemon.ts';

const connections = 84;
const unfinished = Buffer.alloc(700_000, `{"request":{"inspect":{"container":"`.padEnd(64, 'x'));
const hello = '{"connect":{"version":"0.9.2","subscribe_notifications":false}}\n';

/** MiB that a process has in memory (proc_pid_status(5)). */
function residentOf(pid: number | null): number {
  const [, kibibytes = '0'] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid ?? 0}/status`, 'utf8')) ?? [];
  return Number(kibibytes) / 1024;
}

async function open(path: string): Promise<Socket> {
  const socket = connect(path);
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  socket.write(hello);
  await once(socket, 'data');
  socket.write(unfinished);
  return socket;
}

test('what the start took, and what unfinished requests of many clients did, is given back when it is over', async () => {
  const body = async (daemon: Daemon): Promise<void> => {
    const pid = daemon.reconciler();
    const path = new URL(daemon.console).pathname;
    const started = residentOf(pid);
    let before = started;
    // It looks after five seconds without work: beside other programs that is later.
    for (let look = 0; look < 240 && before >= started * 0.7; look++) {
      await delay(250);
      before = residentOf(pid);
    }
    assert.ok(before < started * 0.7, `${started} MiB when it was ready, ${before} at rest`);
    const sockets = await Promise.all(Array.from({ length: connections }, () => open(path)));
    let most = 0;
    for (let look = 0; look < 300 && most < before + 50; look++) {
      await delay(100);
      most = Math.max(most, residentOf(pid));
    }
    assert.ok(most >= before + 50, `${most} MiB with them, ${before} before: they took nothing`);
    for (const socket of sockets) socket.destroy();
    let after = most;
    for (let look = 0; look < 240 && after > before + 15; look++) {
      await delay(250);
      after = residentOf(pid);
    }
    assert.ok(after <= before + 15, `${before} MiB before, ${most} with them, ${after} after`);
    assert.equal(daemon.reconciler(), pid);
  };
  await withSleeper([], [], body, 'never');
});
