// What tests of the whole runtime do: run one, look at its containers, end it and see that nothing stays.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ContainerStatus } from '../../state/status.ts';
import { run } from './command.ts';
import { commandLine } from './container-processes.ts';
import { documentOf, startDaemon, type Daemon } from './test-daemon.ts';
import { leftovers, openDescriptors } from './leaks.ts';
import { patience } from './patience.ts';
import { wakeful } from './successor.ts';

/** Runs a daemon with packages and entries for one test, ends it with SIGTERM, and looks at what is left. */
export async function withDaemon(
  packages: readonly string[],
  entries: readonly string[],
  body: (daemon: Daemon) => Promise<void>,
): Promise<void> {
  const before = openDescriptors();
  await using daemon = await startDaemon({ packages, document: (directory) => documentOf(directory, ...entries) });
  await body(daemon);
  await endsClean(daemon, before);
}

/** Ends a daemon with SIGTERM: exit code 0, nothing is left of it. `before`: this process's descriptors before it began. */
export async function endsClean(daemon: Daemon, before: ReadonlySet<string>): Promise<void> {
  assert.equal(await daemon.stop(), 0, daemon.log());
  let left = await leftovers(daemon.mark, before);
  // Our own ends of connections hear of its end a little later.
  for (let tries = 0; left.length > 0 && tries < 40; tries += 1) {
    await delay(50);
    left = await leftovers(daemon.mark, before);
  }
  assert.deepEqual(left, [], daemon.log());
}

/** How a daemon ended that was asked to. Rejects when it does not end. */
export async function ended(daemon: Daemon): Promise<number | NodeJS.Signals> {
  const timer = new AbortController();
  const late = delay(patience, 'late' as const, { signal: timer.signal }).catch(() => 'late' as const);
  const how = await Promise.race([daemon.exited, late]);
  timer.abort();
  if (how === 'late') throw new Error(`northstate is still there:\n${daemon.log()}`);
  return how;
}

/** Resolves when a container runs and has been restarted that often. */
export function running(daemon: Daemon, name: string, restarts = 0): Promise<ContainerStatus> {
  return daemon.untilContainer(name, `runs with ${restarts} restarts`, (container) => {
    return container.phase === 'Running' && container.restarts === restarts;
  });
}

/** Resolves when a container runs in a version. */
export function runningAs(daemon: Daemon, name: string, version: string): Promise<ContainerStatus> {
  return daemon.untilContainer(name, `runs as ${version}`, (container) => {
    return container.phase === 'Running' && container.version === version;
  });
}

/** The output of a container that `northstate logs` shows. */
export async function lines(daemon: Daemon, name: string): Promise<string[]> {
  const { code, stdout, stderr } = await daemon.run('logs', name);
  assert.equal(code, 0, stderr);
  return stdout.trimEnd().split('\n');
}

/** Lines of all containers in the daemon's own log, in their order, as `container: line`. */
export function logged(daemon: Daemon): string[] {
  return readFileSync(join(daemon.directory, 'log'), 'utf8')
    .split('\n')
    .filter((line) => line.includes('"msg":"container output"'))
    .map((line) => JSON.parse(line) as { readonly container: string; readonly line: string })
    .map(({ container, line }) => `${container}: ${line}`);
}

/** The inits of the launcher's containers, prepared ones included. */
export function inits(daemon: Daemon): number[] {
  const children = readFileSync(`/proc/${daemon.pid}/task/${daemon.pid}/children`, 'utf8').trim();
  const pids = children === '' ? [] : children.split(' ').map(Number);
  // A reconciler that is just ending has no command line any more.
  return pids.filter((pid) => commandLine(pid).startsWith('northstate: '));
}

/** A command in the reconciler's mount namespace, which nobody else sees. */
export async function inside(daemon: Daemon, ...command: readonly string[]): Promise<void> {
  const { code, stderr } = await run('nsenter', [`--mount=/proc/${await wakeful(daemon)}/ns/mnt`, ...command]);
  assert.equal(code, 0, `${command.join(' ')}: ${stderr}`);
}
