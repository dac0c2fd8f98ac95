// The control groups belong to one runtime at a time: what holds them is kept by the launcher, from one reconciler to the next.
import { closeSync } from 'node:fs';
import type { Logger } from 'pino';
import { GroupsTaken } from '../../controllers/cgroups/cgroup-owner.ts';
import type { Hierarchies } from '../../controllers/cgroups/cgroup-hierarchies.ts';
import type { Cgroups } from '../../controllers/cgroups/cgroups.ts';
import { favourMoves } from '../../native/quick-moves.ts';
import type { Launcher, Remembered } from '../../native/wire/launcher-interface.ts';

const name = 'cgroup root';
const movesName = 'cgroup moves';

/** Takes them, or ends the runtime with exit status 1 and says who has them. Rejects with what the kernel or the launcher says. */
export async function claimGroups({
  cgroups,
  launcher,
  remembered,
  stateDir,
  log,
}: {
  readonly cgroups: Pick<Cgroups, 'claim'>;
  readonly launcher: Pick<Launcher, 'keep' | 'stop'>;
  readonly remembered: Pick<Remembered, 'hello' | 'descriptors' | 'attempts'>;
  readonly stateDir: string;
  readonly log: Pick<Logger, 'fatal'>;
}): Promise<void> {
  const held = remembered.descriptors.get(name) ?? null;
  try {
    const claim = await cgroups.claim(`process ${remembered.hello.pid} (stateDir ${stateDir})`, held);
    if (claim === null) return;
    await launcher.keep(name, claim);
    closeSync(claim);
  } catch (error) {
    // With containers of ours in them the next reconciler tries again.
    if (!(error instanceof GroupsTaken) || remembered.attempts.length > 0) throw error;
    log.fatal({ err: error }, 'the control groups belong to another runtime');
    await launcher.stop(1);
    process.exit(1);
  } finally {
    if (held !== null) closeSync(held);
  }
}

/** On a host with cgroup v1, has processes moved into groups at once, for as long as the launcher lives. Never rejects. */
export async function favourGroups({
  hierarchies,
  launcher,
  remembered,
  log,
}: {
  readonly hierarchies: Pick<Hierarchies, 'legacy'>;
  readonly launcher: Pick<Launcher, 'keep'>;
  readonly remembered: Pick<Remembered, 'hello' | 'descriptors'>;
  readonly log: Pick<Logger, 'debug'>;
}): Promise<void> {
  const held = remembered.descriptors.get(movesName);
  if (held !== undefined) closeSync(held);
  if (held !== undefined || hierarchies.legacy.size === 0) return;
  try {
    // Of a name of its own: that of a runtime that has just ended goes a little later.
    const made = await favourMoves(`northstate-${remembered.hello.pid}`);
    try {
      await launcher.keep(movesName, made);
    } finally {
      closeSync(made);
    }
  } catch (err) {
    log.debug({ err }, 'a process that is moved into a control group may have to wait');
  }
}
