// What must hold after every step of the simulation.
import { isLive, type World } from './world.ts';

/** Looks at the whole device. */
export function checkDevice(world: World): void {
  const { attempts, ran } = world.observed;
  for (const [name, all] of attempts) {
    const running = all.filter(({ state }) => state === 'running');
    if (running.length > 1) world.breach(`${running.length} instances of ${name} run at once`);
    for (const { id, state, startedAt, exitedAt } of all) {
      const idle = state === 'preparing' || state === 'prepared';
      if (idle && (startedAt > 0 || exitedAt > 0)) world.breach(`attempt ${id} of ${name} is prepared and has run`);
    }
  }
  for (const [name, { run }] of ran) {
    // What a boot remembers of a name belongs to a start: a sandbox in which nothing has run leaves nothing behind.
    if (!world.noted.has(`${name} ${String(run)}`))
      world.breach(`${name} is noted as run ${String(run)}, which never started`);
  }
  for (const [name, { leaves }] of world.observed.cgroups) {
    const known = new Set(attempts.get(name)?.map(({ id }) => id));
    const lost = attempts.get(name)?.find((attempt) => isLive(attempt) && !leaves.includes(attempt.id));
    if (lost !== undefined && known.has(lost.id)) world.breach(`attempt ${lost.id} of ${name} lives without its leaf`);
  }
}
