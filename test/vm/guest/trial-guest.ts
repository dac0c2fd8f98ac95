// What a machine does whose power may go in trials: it starts the runtime, says what that has come to, and does one order after the
// other. Orders and replies are lines of JSON on the console.
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, open, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { connectConsole, type Client } from '../../../src/client/console-client.ts';
import { hasErrno } from '../../../state/errno.ts';
import type { Status } from '../../../state/status.ts';
import { hostPid } from '../../support/container-processes.ts';
import { startDaemon, type Daemon } from '../../support/test-daemon.ts';
import { directory, documentFile } from '../power-orders.ts';
import { numberOf, type TrialFound, type TrialOrder, type TrialReply } from '../trial-orders.ts';

const reply = (message: TrialReply): void => console.log(JSON.stringify(message));
const filler = '/disk/filler';
const isSettled = ({ converged, trial }: Status): boolean =>
  converged && trial?.state !== 'staged' && trial?.state !== 'reverting';

await mkdir(directory, { recursive: true });
await using daemon = await startDaemon({ directory, packages: packagesFrom(process.argv.slice(2)), asOnDevice: true });
// What the last cut has left full is so until the runtime has come to what it says.
const status = await daemon.until('it has come to what it says', isSettled);
await rm(filler, { force: true });
reply({ up: await look(status) });

const client = await connectConsole(daemon.console);
for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line) as TrialOrder | { readonly op: 'end' };
  if (order.op === 'end') break;
  reply({ done: await look(await carryOut(client, daemon, order)) });
}
client.close();
process.stdin.destroy();
reply({ stopped: await daemon.stop() });

/** Only the first start of all brings packages. */
function packagesFrom(files: readonly string[]): readonly string[] {
  return existsSync(documentFile) ? [] : files;
}

async function carryOut(to: Client, { until }: Daemon, order: TrialOrder): Promise<Status> {
  if (order.op === 'try') {
    await to.call('apply', { document: order.document, expected: null });
    return await until('it is on trial, or in force', (now) => isSettled(now) && inForce(now) === order.number);
  }
  if (order.full) await fill();
  await to.call(order.op, { generation: null });
  const state = order.op === 'confirm' ? 'confirmed' : 'reverted';
  const found = await until(state, (now) => now.converged && now.trial?.state === state && now.trial.kept.length === 0);
  await rm(filler, { force: true });
  return found;
}

/** Takes what the disk has left, down to the last block. */
async function fill(): Promise<void> {
  const file = await open(filler, 'w');
  try {
    for (let size = 1 << 20; size >= 512; size >>= 1)
      for (;;) {
        try {
          await file.write(Buffer.alloc(size, 1));
          await file.sync();
        } catch (error) {
          if (!hasErrno(error, 'ENOSPC')) throw error;
          break;
        }
      }
  } finally {
    await file.close();
  }
}

function inForce({ containers }: Status): number {
  return documentIn(containers['app']?.pid ?? null);
}

function documentIn(pid: number | null): number {
  if (pid === null) return 0;
  try {
    const environment = readFileSync(`/proc/${hostPid({ pid })}/environ`, 'utf8');
    return Number(/(?:^|\0)DOCUMENT=(\d+)/.exec(environment)?.[1]);
  } catch {
    return 0; // it has just ended
  }
}

async function look({ containers, trial }: Status): Promise<TrialFound> {
  const names = await readdir(join(directory, 'data')).catch(() => []);
  const data = await readdir(join(directory, 'data/app')).catch(() => []);
  const running = Object.entries(containers).map(([name, { pid }]) => [name, documentIn(pid)] as const);
  return {
    running: Object.fromEntries(running),
    number: documentIn(containers['app']?.pid ?? null),
    file: numberOf(await readFile(documentFile, 'utf8').catch(() => '# number 0\n...\n')),
    data: data.map((name) => Number(name.slice(1))).sort((a, b) => a - b),
    trial: trial === null ? null : { state: trial.state, reason: trial.cause?.reason ?? null, boots: trial.boots },
    left: names.filter((name) => name.startsWith('.')),
  };
}
