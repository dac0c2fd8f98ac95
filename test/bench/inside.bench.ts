// bench/inside: from the request `exec` on an open connection to the first byte of the program's output. The floor is a request
// that does nothing, on the same kind of connection, and then a C program that goes into the same v2 group, enters the same
// namespaces and executes the same program. The container is in no v1 group that is moved into. The
// command `northstate exec` is shown apart: most of it is the start of its own Node.
import { connectConsole } from '../../src/client/console-client.ts';
import { openSession } from '../../src/client/client-session.ts';
import { probePackage } from '../support/packages.ts';
import { running } from '../support/scenario.ts';
import { documentOf, startDaemon } from '../support/test-daemon.ts';
import { joinFloor } from './join-floor.ts';
import { repeated, row, type Row } from './measure.ts';

const rounds = 200;
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
  const join = (await joinFloor(pid ?? 0, rounds)).waits;
  yield row('inside', 'join in C', 'ms', join);
  // The first ones compile what they run.
  await repeated(() => first(daemon.console), rounds / 2);
  const asked = await repeated(() => nothing(daemon.console), rounds);
  yield row('inside', 'request that does nothing', 'ms', asked);
  const floor = asked.toSorted((a, b) => a - b).map((ms, index) => ms + (join.toSorted((a, b) => a - b)[index] ?? NaN));
  yield row('inside', 'floor: both', 'ms', floor);
  yield row('inside', 'exec to first byte', 'ms', await repeated(() => first(daemon.console), rounds), 'floor: both');
  const whole = async (): Promise<number> => {
    const begin = performance.now();
    const { code, stderr } = await daemon.run('exec', 'app', '--', ...command);
    if (code !== 0) throw new Error(stderr);
    return performance.now() - begin;
  };
  yield row('inside', 'northstate exec, with its Node', 'ms', await repeated(whole));
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

/** ms from the request to the answer, the first of its connection as well. */
async function nothing(url: string): Promise<number> {
  const client = await connectConsole(url, { stream: true });
  const begin = performance.now();
  await client.call('ident', null);
  const taken = performance.now() - begin;
  client.close();
  return taken;
}
