// Deaths of the reconciler, and who comes after it.
import { watch } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connectConsole } from '../../src/client/console-client.ts';
import { errnoOf } from '../../state/errno.ts';
import type { Status } from '../../state/status.ts';
import type { Daemon } from './test-daemon.ts';
import { patience } from './patience.ts';
import { processEnded } from './process-end.ts';

/** What the reconciler logs when it acts on the document and its console answers. */
export const ready = '"msg":"ready"';

// The loop's one inotify instance is opened with the first watch and kept: it is no leak of the test that happens to be it.
watch(import.meta.dirname).close();

/** Kills the reconciler, woken for it when it sleeps; resolves when it is gone, with its process id. */
export async function killReconciler(daemon: Daemon, signal: NodeJS.Signals = 'SIGKILL'): Promise<number> {
  const deadline = performance.now() + patience;
  while (performance.now() < deadline) {
    const pid = await wakeful(daemon);
    const ended = processEnded(pid);
    const isKilled = sent(pid, signal);
    await ended;
    if (isKilled) return pid;
  }
  throw new Error(`the launcher ${daemon.pid} has no reconciler`);
}

/** The process id of the reconciler, woken by a question when it sleeps. */
export async function wakeful(daemon: Daemon): Promise<number> {
  for (;;) {
    const pid = daemon.reconciler();
    if (pid !== null) return pid;
    const client = await connectConsole(daemon.console);
    await client.call('list', null).finally(() => client.close());
  }
}

/** Whether it was there to be sent the signal. */
function sent(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch (error) {
    if (errnoOf(error) !== 'ESRCH') throw error;
    return false;
  }
}

/** Kills the reconciler; gives the first status of the one that takes over. */
export async function succeed(daemon: Daemon): Promise<Status> {
  await wakeful(daemon);
  const before = await timesLogged(daemon, ready);
  await killReconciler(daemon);
  return await successor(daemon, before + 1);
}

/** The first status of the reconciler that is the `nth` to say that it is ready. */
export async function successor(daemon: Daemon, nth: number): Promise<Status> {
  await untilLogged(daemon, ready, nth);
  const client = await connectConsole(daemon.console);
  const { status } = await client.call('get', null);
  client.close();
  return status;
}

/** How often a reconciler of this daemon has said that it is ready. */
export const timesReady = (daemon: Daemon): Promise<number> => timesLogged(daemon, ready);

/** Resolves when the daemon's log holds `text` for the `nth` time. */
export async function untilLogged(daemon: Daemon, text: string, nth = 1): Promise<void> {
  const deadline = AbortSignal.timeout(patience);
  const changes = Promise.withResolvers<void>();
  let changed = changes;
  const watcher = watch(join(daemon.directory, 'log'), () => changed.resolve());
  deadline.addEventListener('abort', () => changed.resolve());
  try {
    while ((await timesLogged(daemon, text)) < nth) {
      if (deadline.aborted)
        throw new Error(`"${text}" was not logged ${nth} times in ${patience} ms:\n${daemon.log()}`);
      await changed.promise;
      changed = Promise.withResolvers();
    }
  } finally {
    watcher.close();
  }
}

async function timesLogged(daemon: Daemon, text: string): Promise<number> {
  return (await readFile(join(daemon.directory, 'log'), 'utf8')).split(text).length - 1;
}
