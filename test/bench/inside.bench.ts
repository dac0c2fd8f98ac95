// bench/inside: from the request `exec` on an open connection to the first byte of the program's output. The floor is a C
// program that enters the same namespaces and executes the same program. The container is in no v1 group that is moved into.
import { connectConsole } from '../../src/client/console-client.ts';
import { openSession } from '../../src/client/client-session.ts';
import { probePackage } from '../support/packages.ts';
import { running } from '../support/scenario.ts';
import { documentOf, startDaemon } from '../support/test-daemon.ts';
import { joinFloor } from './join-floor.ts';
import { row, type Row } from './measure.ts';

const rounds = 100;
const command = ['/probe', 'print', '1', 'x'];

export async function* bench(): AsyncGenerator<Row> {
  const app = await probePackage({ name: 'app' });
  await using daemon = await startDaemon({
    packages: [app],
    document: (directory) => documentOf(directory, 'app: { state: running }'),
    asOnDevice: true,
    configuration: 'pids: -1\n',
  });
  const { pid } = await running(daemon, 'app');
  daemon.unwatch();
  const floor = await joinFloor(pid ?? 0, rounds);
  yield row('inside', 'floor', 'ms', floor.waits);
  const measured: number[] = [];
  for (let round = 0; round < rounds; round++) measured.push(await first(daemon.console));
  yield row('inside', 'exec to first byte', 'ms', measured, 'floor');
}

/** ms from the request to the first byte of output. */
async function first(url: string): Promise<number> {
  const client = await connectConsole(url, { stream: true });
  const begin = performance.now();
  const exec = { name: 'app', command, input: false, terminal: null, user: null };
  const session = await openSession(client, (each) => each.call('exec', exec));
  let taken = NaN;
  for await (const _ of session.output()) if (Number.isNaN(taken)) taken = performance.now() - begin;
  session.close();
  return taken;
}
