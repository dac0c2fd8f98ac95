// Who makes the storm: each acts at random until the signal, and does not care what becomes of it.
import { randomBytes } from 'node:crypto';
import { createReadStream, statSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { connectConsole, type Client } from '../../src/client/console-client.ts';
import type { Random } from '../sim/random.ts';
import type { Daemon } from '../support/test-daemon.ts';

export interface Storm {
  readonly daemon: Daemon;
  readonly random: Random;
  /** The file of a package that nobody else names: guest 1.0.0. */
  readonly guest: string;
  readonly signal: AbortSignal;
  /** Counts what was done. */
  did(what: string): void;
  /** Told of each generation that an answer has said was made. */
  answered(generation: number): void;
}

/** Its name and version. */
const guestId = 'guest:1.0.0';

/** Acts again and again, with pauses of up to `most` ms. What an act rejects with is the storm's. */
async function again({ random, signal }: Storm, most: number, act: () => Promise<void>): Promise<void> {
  while (!signal.aborted) {
    await act().catch(() => undefined);
    await delay(random.between(0, most), undefined, { signal }).catch(() => undefined);
  }
}

/** Kills the reconciler, or stops it for a moment. */
export const killer = (storm: Storm): Promise<void> =>
  again(storm, 15_000, async () => {
    const pid = storm.daemon.reconciler();
    if (pid === null) return;
    if (storm.random.chance(0.7)) {
      process.kill(pid, 'SIGKILL');
      storm.did('kills of the reconciler');
    } else {
      process.kill(pid, 'SIGSTOP');
      await delay(storm.random.between(1, 500));
      process.kill(pid, 'SIGCONT');
      storm.did('pauses of the reconciler');
    }
  });

/** A client that asks for this and that, and sometimes goes in the middle of it. */
export const client = (storm: Storm): Promise<void> =>
  again(storm, 300, async () => {
    const { random, daemon } = storm;
    const console = await connectConsole(daemon.console, { subscribe: random.chance(0.3) });
    try {
      for (let left = random.between(1, 8); left > 0 && !storm.signal.aborted; left -= 1) {
        const asked = request(console, storm);
        const answered = asked.then(
          () => storm.did('requests answered'),
          () => storm.did('requests refused or cut off'),
        );
        if (random.chance(0.1)) break;
        await answered;
      }
    } finally {
      console.close();
    }
  });

function request(console: Client, { random, answered }: Storm): Promise<unknown> {
  const container = guestId;
  const lifetime = random.pick(['document', 'boot', undefined] as const);
  return random.pick<() => Promise<unknown>>([
    () => console.call('list', null),
    () => console.call('ident', null),
    () => console.call('get', null),
    () => console.call('history', null),
    () => console.call('inspect', { container: random.pick([container, 'steady:1.0.0', 'nobody:0.0.0']) }),
    () => console.call('plan', { document: null }),
    () => console.call('mount', { containers: [container], lifetime }),
    () => console.call('umount', { containers: [container], lifetime }),
    () => console.call('start', { container, init: null, arguments: [], environment: {}, lifetime }),
    () => console.call('kill', { container, signal: random.pick([15, 9, 1]), lifetime }),
    () => console.call('uninstall', { container, wipe: random.chance(0.5), lifetime }),
    async () => {
      const merge = { containers: { [container]: { restart: { limit: random.between(1, 9) } } } };
      answered((await console.call('patch', { merge, expected: null, lifetime })).generation);
    },
  ])();
}

/** Installs the guest, whole or not. */
export const installer = (storm: Storm): Promise<void> =>
  again(storm, 1_000, async () => {
    const { random, daemon, guest } = storm;
    const console = await connectConsole(daemon.console);
    try {
      const { size } = statSync(guest);
      const whole = random.chance(0.7);
      const bytes = createReadStream(guest, whole ? {} : { end: random.between(0, size - 2) });
      const installed = console.install({ repository: 'packages', size, lifetime: undefined }, bytes);
      if (!whole) setTimeout(() => console.close(), random.between(1, 300));
      await installed;
      storm.did('installs');
    } finally {
      console.close();
    }
  });

/** Bytes that are no message, and connections that are left open or full. */
export const babbler = (storm: Storm): Promise<void> =>
  again(storm, 500, async () => {
    const { random, daemon, signal } = storm;
    const socket = connect(new URL(daemon.console).pathname);
    socket.on('error', () => undefined);
    const begin = random.pick(['', '{"connect":{"version":"0.9.2","subscribe_notifications":true}}\n']);
    socket.write(begin);
    socket.write(random.chance(0.5) ? randomBytes(random.between(1, 5_000)) : `{"request":"${'x'.repeat(600_000)}`);
    storm.did('babbling connections');
    await delay(random.between(1, 2_000), undefined, { signal }).catch(() => undefined);
    socket.destroy();
  });
