// What a machine does whose power may go at any moment: looks at its disk as the last cut left it, starts the runtime, says
// when it is as desired, and does one order after the other. Orders and replies are lines of JSON on the console; an order
// is begun only when the reply to the one before has been read, so that the other side knows what was acknowledged.
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, readFileSync } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { connectConsole, type Client } from '../../../src/client/console-client.ts';
import { startDaemon, type Daemon } from '../../support/test-daemon.ts';
import { hostPid } from '../../support/container-processes.ts';
import {
  directory,
  documentFile,
  isDraft,
  repository,
  type Found,
  type Order,
  type Reply,
  type Running,
} from '../power-orders.ts';

const reply = (message: Reply): void => console.log(JSON.stringify(message));

await mkdir(directory, { recursive: true });
reply({ found: await look() });
await using daemon = await startDaemon({ directory, packages: [], asOnDevice: true });
// An uninstallation that was cut short is done, and its entry gone from the file.
const { generation, containers } = await daemon.until(
  'it is as the document says',
  ({ converged, document, generation: now }) => converged && document.status === 'ok' && document.generation === now,
);
reply({ up: { generation, ...(await lookAtRest()), ...(await whatRuns()) } });

const client = await connectConsole(daemon.console);
for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line) as Order | { readonly op: 'end' };
  if (order.op === 'end') break;
  await carryOut(client, daemon, order).catch((error: unknown) => {
    console.error(daemon.log().replaceAll(/^\{/gm, ' {'));
    throw error;
  });
  const { status } = await client.call('get', null);
  reply({ done: { generation: status.generation, document: await readFile(documentFile, 'utf8') } });
}
client.close();
process.stdin.destroy();
reply({ stopped: await daemon.stop() });

async function carryOut(to: Client, { until }: Daemon, order: Order): Promise<void> {
  switch (order.op) {
    case 'apply':
      await to.call('apply', { document: order.document, expected: null });
      return;
    case 'save': {
      const { status: before } = await to.call('get', null);
      await save(order.document);
      await until('it is read', ({ generation: read }) => read > before.generation);
      return;
    }
    case 'start':
      await to.call('start', {
        container: order.container,
        init: null,
        arguments: [],
        environment: {},
        lifetime: undefined,
      });
      return;
    case 'reexec':
      await to.call('reexec', { to: null, timeout: 300_000 });
      return;
    case 'stop':
      await to.call('stop', { name: 'app', lifetime: undefined, timeout: undefined });
      return;
    case 'install': {
      const { size } = await stat(order.file);
      await to.install({ repository: 'packages', size, lifetime: undefined }, createReadStream(order.file));
      return;
    }
    case 'uninstall':
      await uninstall(to, order.container);
  }
}

/** The answer waits for 10 s, and an emulated machine may take longer; what was asked for is done all the same. */
async function uninstall(to: Client, container: string): Promise<void> {
  const file = join(repository, `${container}.npk`);
  try {
    await to.call('uninstall', { container, wipe: false, lifetime: undefined });
  } catch (error) {
    if (!(error instanceof Error && error.message.includes('not done within'))) throw error;
    while (existsSync(file)) await delay(50);
  }
}

/** As an updater replaces a file that must be there after a power cut. */
async function save(document: string): Promise<void> {
  const draft = await open(`${documentFile}.draft`, 'w');
  await draft.writeFile(document);
  await draft.sync();
  await draft.close();
  await rename(`${documentFile}.draft`, documentFile);
  const folder = await open(directory, 'r');
  await folder.sync();
  await folder.close();
}

/** What is being written is done a moment later; what a power cut has left is not. */
async function lookAtRest(): Promise<Found> {
  for (let again = 50; ; again--) {
    const found = await look();
    if (again === 0 || !found.files.some(isDraft)) return found;
    await delay(100);
  }
}

async function look(): Promise<Found> {
  const names = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = names.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const inRepository = files.filter((file) => file.startsWith(`${repository}/`));
  return {
    document: existsSync(documentFile) ? await readFile(documentFile, 'utf8') : null,
    packages: Object.fromEntries(
      await Promise.all(inRepository.map(async (file) => [file, await digest(file)] as const)),
    ),
    files,
  };
}

async function whatRuns(): Promise<Running> {
  const inits = Object.entries(containers).flatMap(([name, { phase, pid }]) =>
    phase === 'Running' && pid !== null ? [{ name, pid }] : [],
  );
  const reconciler = began(daemon.reconciler() ?? 0);
  return {
    running: Object.fromEntries(inits.map(({ name, pid }) => [name, documentIn(hostPid({ pid }))])),
    early: inits.filter(({ pid }) => began(pid) < reconciler).map(({ name }) => name),
    played: await whatWasPlayed(),
  };
}

/** In ticks since the boot (proc_pid_stat(5)). */
function began(pid: number): number {
  const [, fields = ''] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ');
  return Number(fields.split(' ')[19]);
}

function documentIn(pid: number): number {
  return Number(/(?:^|\0)DOCUMENT=(\d+)/.exec(readFileSync(`/proc/${pid}/environ`, 'utf8'))?.[1]);
}

async function whatWasPlayed(): Promise<Running['played']> {
  const lines = (await readFile(join(directory, 'log'), 'utf8')).split('\n');
  const start = lines.findLastIndex((line) => line.includes('"the reconciler has started"'));
  // The line of the start itself may stand behind half of one that the power cut off.
  for (const line of lines.slice(start + 1).filter((each) => each.startsWith('{'))) {
    const { msg, started, reason } = JSON.parse(line) as { msg: string; started: number; reason: string };
    if (msg.startsWith('what ran before')) return started;
    if (msg.startsWith('the boot plan does not count')) return reason;
  }
  return null;
}

async function digest(file: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(file))
    .digest('hex');
}
