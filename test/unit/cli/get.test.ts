import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test, type TestContext } from 'node:test';
import { openConsole } from '../../../src/console/server/server.ts';
import { fakeRuntime, type FakeRuntime } from '../../support/console/fake-runtime.ts';
import { containerStatus } from '../../support/console/fake-state.ts';
import { openTestConsole, scratchDirectory, silentLog, testTokens } from '../../support/console/scratch.ts';
import { entry, northstate, startCommand } from './command-line.ts';

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

test('get --watch prints a line for each container that changes', async (context) => {
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

test('get --watch ends with an error when the daemon has ended and no other takes its place', async (context) => {
  const runtime = fakeRuntime({ packages: [broker] });
  const listen = `unix://${await scratchDirectory(context)}/console`;
  const console = await openConsole({ ...consoleOptions, tokens: testTokens, listen, runtime });
  const child = startCommand(context, listen, ['get', '--watch', '-o', 'json']);
  await once(child.stdout ?? child, 'data');
  await console.close();
  const [code] = (await once(child, 'exit')) as [number];
  assert.equal(code, 5);
});

test('get --watch draws the table anew on a terminal', async (context) => {
  const runtime = fakeRuntime({ packages: [broker] });
  const url = await openTestConsole(context, runtime);
  const { screen, child } = terminal(context, url, 'get --watch');
  await screen.until(/broker .*Installed/);
  run(runtime);
  await screen.until(/\u001b\[\d*A[\s\S]*broker .*\u001b\[32mRunning/);
  child.kill('SIGKILL');
});

const consoleOptions = { permissions: 'full', patches: 'document', log: silentLog, now: () => 0 } as const;

/** A command on a terminal of its own: script(1) gives it one, and we see what is written there. */
function terminal(context: TestContext, url: string, command: string) {
  const args = ['-qefc', `stty columns 200 rows 50; exec ${entry} ${command}`, '/dev/null'];
  // Nothing else of the environment: CI, FORCE_COLOR and their like say how to draw.
  const env = { PATH: process.env['PATH'], HOME: process.env['HOME'], NORTHSTATE_CONSOLE: url, TERM: 'xterm' };
  const child = spawn('script', args, { env, stdio: ['pipe', 'pipe', 'inherit'] });
  context.after(() => void child.kill('SIGKILL'));
  let text = '';
  let look = (): void => undefined;
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
    look();
  });
  return {
    child,
    screen: {
      /** Resolves when what is on the terminal matches; it is then forgotten. */
      async until(pattern: RegExp): Promise<void> {
        await new Promise<void>((resolve) => {
          look = () => {
            if (!pattern.test(text)) return;
            text = '';
            resolve();
          };
          look();
        });
      },
    },
  };
}

function run(runtime: FakeRuntime): void {
  const { status } = runtime.state();
  const value = { ...containerStatus('1.2.3'), desired: 'running', phase: 'Running', pid: 4711 } as const;
  runtime.change([{ op: 'replace', path: '/containers/broker', value }], {
    ...status,
    containers: { ...status.containers, broker: value },
  });
}
