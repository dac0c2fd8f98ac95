// A boot as far as a runtime can tell on a machine that goes on: its launcher is killed, and nothing is left of its run directory,
// its control groups and its mounts.
import { readFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { endOf } from './container-processes.ts';
import { removeGroups } from './leftover-groups.ts';
import { startDaemon, type Daemon, type DaemonOptions } from './test-daemon.ts';

/** Ends a runtime as a power cut does; what is on its disk stays. */
export async function cutPower(daemon: Pick<Daemon, 'release' | 'pid' | 'exited' | 'mark' | 'runDir'>): Promise<void> {
  daemon.release();
  const children = childrenOf(daemon.pid);
  process.kill(daemon.pid, 'SIGKILL');
  await daemon.exited;
  for (const pid of children) await endOf(pid).catch(() => undefined);
  await removeGroups(daemon.mark);
  for (const name of readdirSync(daemon.runDir)) rmSync(join(daemon.runDir, name), { recursive: true, force: true });
}

/** The same, and the next start. */
export async function reboot(daemon: Daemon, options: Partial<DaemonOptions> = {}): Promise<Daemon> {
  await cutPower(daemon);
  return await startDaemon({ packages: [], directory: daemon.directory, ...options });
}

/** The reconciler and the inits: each with all that it has started goes with it. */
function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
}
