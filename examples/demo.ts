// `npm run demo`: what northstate does, on real containers in directories of their own, in under a minute. It ends with
// exit code 1 when anything that it announces does not happen. `npm run demo -- --keep` leaves the runtime running.
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { glob, readFile } from 'node:fs/promises';
import { connect, createServer, type AddressInfo } from 'node:net';
import { basename, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs, promisify, styleText } from 'node:util';
import type { ContainerStatus, Status } from '../state/status.ts';
import { startRuntime, type DemoRuntime } from './demo-runtime.ts';
import { liveTable } from './table.ts';

const steady = ['hello-world', 'persistence', 'greeter', 'daytime', 'cpueater'];
const { keep } = parseArgs({ options: { keep: { type: 'boolean', default: false } } }).values;
const table = liveTable(process.stdout);

const port = await freePort();
const template = await readFile(join(import.meta.dirname, 'desired.yaml'), 'utf8');
// Whatever ends the demo early takes the runtime with it.
const over = new AbortController();
const giveUp = (why: string, code: number): void => {
  over.abort();
  table.end();
  console.error(styleText('red', why));
  void starting.then((runtime) => runtime[Symbol.asyncDispose]()).finally(() => process.exit(code));
};
process.once('SIGINT', () => giveUp('interrupted', 130));
process.once('SIGTERM', () => giveUp('terminated', 143));

const begun = performance.now();
const starting = startRuntime(
  await Array.fromAsync(glob(join(import.meta.dirname, '../.build/examples/*.npk'))),
  (packages) => template.replace('/var/lib/northstate/packages', packages).replace("'1313'", `'${port}'`),
);
const limit = setTimeout(() => giveUp('the demo took more than 60 seconds', 1), 60_000);

try {
  await using runtime = await starting;
  await tour(runtime);
  if (keep) leave(runtime);
  else await announce('SIGTERM stops everything in order', () => end(runtime));
} catch (error) {
  if (!over.signal.aborted) fail(error);
}
clearTimeout(limit);

function fail(error: unknown): void {
  table.end();
  console.error(styleText('red', reasonOf(error)));
  process.exitCode = 1;
}

/** What went wrong, and before it what had sent for the disposal in which it did. */
function reasonOf(error: unknown): string {
  if (error instanceof SuppressedError) return `${reasonOf(error.suppressed)}\n${reasonOf(error.error)}`;
  return error instanceof Error ? error.message : String(error);
}

async function tour(runtime: DemoRuntime): Promise<void> {
  runtime.watch((status) => table.update(status));
  await announce('One document, and everything in it comes up', () => comesUp(runtime), begun);
  await announce('Another version in the document replaces the container', () => bump(runtime));
  await announce('A killed process comes back, after a delay', () => killed(runtime));
  await announce('An image unmounted behind the back of the runtime is mounted again', () => unmounted(runtime));
  await announce('The reconciler is killed: its successor adopts what runs', () => adopted(runtime));
  await announce('A command is an edit of the document, comments included', () => commanded(runtime));
}

/** Shows the line, does the thing, then shows what was seen. */
async function announce(title: string, act: () => Promise<string>, started = performance.now()): Promise<void> {
  table.line(styleText('bold', title));
  const seen = await act();
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  table.line(`  ${styleText('green', '✓')} ${seen} ${styleText('dim', `(${seconds} s)`)}`);
}

async function comesUp(runtime: DemoRuntime): Promise<string> {
  await runtime.until('all are running', (status) =>
    steady.every((name) => status.containers[name]?.phase === 'Running'),
  );
  // It runs before it listens.
  const answer = await eventually('daytime answers', () =>
    text(connect(port, '127.0.0.1')).catch((error: unknown) => {
      if (error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED') return null;
      throw error;
    }),
  );
  return `${steady.length} containers run, and daytime answers: ${answer.trim()}`;
}

async function bump(runtime: DemoRuntime): Promise<string> {
  const before = await untilContainer(runtime, 'hello-world', 'runs', ({ phase }) => phase === 'Running');
  const document = await readFile(runtime.document, 'utf8');
  await runtime.write(document.replace('version: 1.0.0', 'version: 1.1.0'));
  const after = await untilContainer(
    runtime,
    'hello-world',
    'runs as 1.1.0',
    ({ phase, version, pid }) => phase === 'Running' && version === '1.1.0' && pid !== before.pid,
  );
  return `hello-world ${before.version ?? ''} (pid ${before.pid ?? ''}) gave way to ${after.version ?? ''} (pid ${after.pid ?? ''})`;
}

async function killed(runtime: DemoRuntime): Promise<string> {
  const before = await untilContainer(runtime, 'hello-world', 'runs', ({ phase }) => phase === 'Running');
  if (before.pid === null) throw new Error('hello-world runs but shows no pid');
  process.kill(before.pid, 'SIGKILL');
  const down = await untilContainer(
    runtime,
    'hello-world',
    'waits for its restart',
    ({ phase }) => phase === 'Backoff',
  );
  const after = await untilContainer(
    runtime,
    'hello-world',
    'runs again',
    ({ phase, pid }) => phase === 'Running' && pid !== before.pid,
  );
  if (after.restarts !== before.restarts + 1) throw new Error(`${after.restarts} restarts of hello-world were counted`);
  return `pid ${before.pid} was killed, the restart was due at ${down.nextRestart ?? ''}, pid ${after.pid ?? ''} runs now`;
}

async function unmounted(runtime: DemoRuntime): Promise<string> {
  const reconciler = reconcilerOf(runtime);
  const target = await mountOf(reconciler, 'greeting:1.0.0');
  if (target === null) throw new Error(`greeting:1.0.0 is not mounted in the namespace of ${reconciler}`);
  const started = performance.now();
  // Succeeds only when the mount is gone.
  await promisify(execFile)('nsenter', [`--mount=/proc/${reconciler}/ns/mnt`, 'umount', '--lazy', target]);
  await eventually('greeting:1.0.0 is mounted again', () => mountOf(reconciler, 'greeting:1.0.0'));
  return `greeting:1.0.0 was unmounted and there again within ${(performance.now() - started).toFixed(0)} ms`;
}

async function adopted(runtime: DemoRuntime): Promise<string> {
  const before = await present(runtime);
  const reconciler = reconcilerOf(runtime);
  process.kill(reconciler, 'SIGKILL');
  const successor = await eventually('another reconciler', async () => {
    const pid = runtime.reconciler();
    return pid === reconciler ? null : pid;
  });
  // Asked anew, and so by whoever is there now.
  const after = JSON.parse(await runtime.run('get', '-o', 'json')) as Status;
  for (const name of steady) {
    const [old, now] = [before.containers[name]?.pid, after.containers[name]?.pid];
    if (old !== now) throw new Error(`${name} had pid ${String(old)}, now ${String(now)}`);
  }
  return `reconciler ${reconciler} was killed, ${successor} took over; all pids are as before`;
}

async function commanded(runtime: DemoRuntime): Promise<string> {
  const before = (await readFile(runtime.document, 'utf8')).split('\n');
  await runtime.run('kill', 'daytime');
  await untilContainer(runtime, 'daytime', 'is down', ({ phase }) => phase === 'Mounted' || phase === 'Exited');
  const after = (await readFile(runtime.document, 'utf8')).split('\n');
  const changed = after.filter((line, index) => line !== before[index]);
  if (after.length !== before.length || changed.length !== 1 || changed[0]?.trim() !== 'state: mounted')
    throw new Error(`kill daytime made this of the document:\n${after.join('\n')}`);
  const comments = after.filter((line) => line.includes('#')).length;
  return `northstate kill daytime: one line says "${changed[0].trim()}" now, all ${comments} comments stand`;
}

async function end(runtime: DemoRuntime): Promise<string> {
  const how = await runtime.stop();
  if (how !== 0) throw new Error(`northstate ended with ${how}`);
  const left = await runtime.leftovers();
  if (left.length > 0) throw new Error(`left behind:\n${left.join('\n')}`);
  return 'exit code 0; no process, mount, loop device, control group or socket is left';
}

function leave(runtime: DemoRuntime): void {
  runtime.release();
  table.end();
  console.log(`
It goes on running. Try:
  export NORTHSTATE_CONSOLE=${runtime.console}
  npx northstate get --watch
  npx northstate describe crashing
  npx northstate logs -f cpueater
  npx northstate start daytime
  $EDITOR ${runtime.document}
  kill -9 ${reconcilerOf(runtime)}     # the reconciler
  npx northstate shutdown; rm -r ${runtime.directory}`);
}

function reconcilerOf(runtime: DemoRuntime): number {
  const pid = runtime.reconciler();
  if (pid === null) throw new Error('the launcher has no reconciler');
  return pid;
}

function present(runtime: DemoRuntime): Promise<Status> {
  return runtime.until('all but daytime are running', (status) =>
    steady.every((name) => status.containers[name]?.phase === 'Running'),
  );
}

/** The first status of a container that fits. */
async function untilContainer(
  runtime: DemoRuntime,
  name: string,
  what: string,
  fits: (container: ContainerStatus) => boolean,
): Promise<ContainerStatus> {
  const found = ({ containers }: Status): ContainerStatus[] =>
    Object.entries(containers).flatMap(([key, container]) => (key === name && fits(container) ? [container] : []));
  const [container] = found(await runtime.until(`${name} ${what}`, (status) => found(status).length > 0));
  if (container === undefined) throw new Error(`${name} has gone`);
  return container;
}

/** Where a package is mounted in the namespace of a process (proc_pid_mountinfo(5)). */
async function mountOf(pid: number, container: string): Promise<string | null> {
  const mounts = await readFile(`/proc/${pid}/mountinfo`, 'utf8');
  const targets = mounts.split('\n').map((line) => line.split(' ')[4] ?? '');
  return targets.find((target) => basename(target) === container) ?? null;
}

/** The first answer that is not null, within ten seconds. For what no event tells to an outsider. */
async function eventually<T>(what: string, look: () => Promise<T | null>): Promise<T> {
  const deadline = performance.now() + 10_000;
  for (;;) {
    const found = await look();
    if (found !== null) return found;
    if (performance.now() > deadline) throw new Error(`${what}: not within 10 s`);
    await delay(5);
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port: free } = server.address() as AddressInfo;
  server.close();
  return free;
}
