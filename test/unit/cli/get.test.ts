import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { fakeRuntime, containerStatus, type FakeRuntime } from '../console/fake-runtime.ts';
import { openTestConsole } from '../console/scratch.ts';
import { northstate, startCommand } from './command-line.ts';

const broker = { manifest: { name: 'broker', version: '1.2.3', init: '/app' }, repository: 'system' };

test('get prints one row for each container below the state of the document', async (context) => {
  const url = await openTestConsole(context, fakeRuntime({ packages: [broker] }));
  const { code, stdout, stderr } = await northstate(context, url, ['get']);
  assert.deepEqual([code, stderr], [0, '']);
  assert.deepEqual(stdout.split('\n').slice(0, 3), [
    'generation 1, converged',
    'NAME    VERSION  DESIRED    PHASE      PID  RESTARTS  LAST EXIT  SINCE                 WHY',
    'broker  1.2.3    installed  Installed  -    0         -          2026-01-01T00:00:00Z',
  ]);
});

test('get -o json prints the status object', async (context) => {
  const runtime = fakeRuntime({ packages: [broker] });
  const url = await openTestConsole(context, runtime);
  const { stdout } = await northstate(context, url, ['get', '-o', 'json']);
  assert.deepEqual(JSON.parse(stdout), JSON.parse(JSON.stringify(runtime.state().status)));
});

test('get -o yaml prints the status object as YAML', async (context) => {
  const url = await openTestConsole(context, fakeRuntime({ packages: [broker] }));
  const { stdout } = await northstate(context, url, ['get', '-o', 'yaml']);
  assert.match(stdout, /^generation: 1\nobservedGeneration: 1\nconverged: true\n/);
});

test('get --watch prints a line for each container that changes, and ends with the daemon', async (context) => {
  const runtime = fakeRuntime({ packages: [broker] });
  const url = await openTestConsole(context, runtime);
  const child = startCommand(context, url, ['get', '--watch']);
  const chunks: string[] = [];
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => chunks.push(chunk));
  await once(child.stdout ?? child, 'data');
  run(runtime);
  await once(child.stdout ?? child, 'data');
  assert.match(
    chunks.join(''),
    /\d{4}-\d\d-\d\dT[\d:.]+Z broker 1\.2\.3 running Running 4711 0 2026-01-01T00:00:00Z\n$/,
  );
});

function run(runtime: FakeRuntime): void {
  const { status } = runtime.state();
  const value = { ...containerStatus('1.2.3'), desired: 'running', phase: 'Running', pid: 4711 } as const;
  runtime.change([{ op: 'replace', path: '/containers/broker', value }], {
    ...status,
    containers: { ...status.containers, broker: value },
  });
}
