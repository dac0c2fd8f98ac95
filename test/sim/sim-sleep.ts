// The reconciler asleep: it is not there, and what would ring at the launcher starts the next one.
import { startHost, type Host } from './host.ts';
import type { SimulatedLauncher } from './sim-launcher.ts';
import type { World } from './world.ts';

export interface Sleeper {
  readonly world: World;
  readonly launcher: SimulatedLauncher;
  host: Host;
}

/** Sends the reconciler to sleep when it is at rest and has heard everything; says whether it sleeps. */
export function sleep(run: Sleeper): boolean {
  const { world, launcher, host } = run;
  if (!host.reconciler.idle() || host.stopped !== null || launcher.telling() || launcher.asked()) return false;
  const deadline = host.deadline();
  host.crash();
  world.log('it sleeps');
  let over = false;
  function end(): boolean {
    if (over) return false;
    over = true;
    bell.disconnect();
    return true;
  }
  function wake(why: string): void {
    if (!end()) return;
    world.log(`it is woken: ${why}`);
    run.host = startHost(world, launcher);
  }
  const bell = launcher.connect(() => wake('attempt'));
  if (deadline !== null) world.time.after(Math.max(0, deadline - world.time.now()), () => wake('deadline'));
  run.host = { ...host, notice: () => wake('drift'), reload: () => wake('document'), crash: () => void end() };
  return true;
}

/** Sleeps at rest and is woken by a question: nothing is different, and so nothing is done. */
export async function askSleeper(run: Sleeper, settle: () => Promise<void>): Promise<void> {
  const { world } = run;
  const before = said(run.host);
  const acts = world.acts;
  if (world.broken !== null || !sleep(run)) return;
  run.host.reload();
  await settle();
  if (world.acts > acts) world.breach(`${world.acts - acts} steps after a sleep in which nothing happened`);
  const after = said(run.host);
  if (after !== before) world.breach(`after a sleep it says ${after}, and said ${before}`);
}

/** What the status says of every container, apart from when. */
function said({ store }: Host): string {
  const { containers } = store.get().status;
  const each = Object.entries(containers).map(([key, { phase, conditions }]) => ({
    ...{ key, phase },
    conditions: conditions.map(({ type, status, reason, message }) => ({ type, status, reason, message })),
  }));
  return JSON.stringify(each.toSorted((a, b) => (a.key < b.key ? -1 : 1)));
}
