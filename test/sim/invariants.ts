// What must hold after every step of the simulation.
import type { View } from '../../controllers/controller.ts';
import type { Fault, ObservedCgroup } from '../../state/observed.ts';
import type { ContainerEntry, Dependency } from '../../state/desired.ts';
import { mostAhead } from '../../controllers/containers/ahead.ts';
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

/** What is made in advance is of what might be started, as many as the memory allows, and of none that runs. */
export function checkAhead(world: World, { name, targets }: View): void {
  const { attempts } = world.observed;
  const live = [...attempts.values()].flat().filter((each) => isLive(each) && each.record.ahead === true);
  if (live.length >= mostAhead(world.memory)) world.breach(`${live.length + 1} sandboxes are made in advance`);
  if (world.memory.available < world.memory.total / 16) world.breach('one is made in advance while memory is short');
  if (attempts.get(name)?.some(({ state }) => state === 'running') === true)
    world.breach(`a sandbox of ${name} is made in advance while it runs`);
  if (!targets.some(({ entry }) => entry.state === 'mounted' && entry.prepare === 'auto'))
    world.breach(`a sandbox of ${name} is made in advance and its entry does not say so`);
}

/** Groups stay where they are only as long as something runs there: what is made now is where it is asked for. */
export function checkPlace(world: World, { name, place }: ObservedCgroup, asked: string | null): void {
  const runs = world.observed.attempts.get(name)?.some(({ state }) => state === 'running');
  if (place !== asked && runs !== true) world.breach(`a sandbox of ${name} is made below ${place}, not ${asked}`);
}

/** ms that what the launcher tells is on its way. */
const late = 1;

/** Nothing starts before what it needs: looked at on the device itself when a start is decided on. */
export function checkGates(world: World, of: (name: string) => View, name: string): void {
  const entry = wantedBy(of(name));
  for (const [dependency, asked] of entry?.dependsOn ?? []) {
    if (hasCome(world, wantedBy(of(dependency)), dependency, asked)) continue;
    world.breach(`${name} is started, and ${dependency} is not ${asked}`);
  }
}

function wantedBy({ targets }: View): ContainerEntry | undefined {
  return targets.find(({ entry }) => entry.state === 'running')?.entry;
}

function hasCome(world: World, entry: ContainerEntry | undefined, name: string, asked: Dependency): boolean {
  const now = world.time.now();
  const all = world.observed.attempts.get(name) ?? [];
  const running = all.find(({ state }) => state === 'running');
  const last = all.findLast(({ state }) => state === 'exited');
  if (asked === 'succeeded') {
    const exit = last === undefined ? (world.observed.ran.get(name)?.exit ?? null) : last.exit;
    const again = running !== undefined && running.startedAt < now - late;
    const isGood = exit !== null && 'code' in exit && exit.code === 0 && last?.record.stop?.fault === undefined;
    return isGood && !again;
  }
  const ran = running ?? (last !== undefined && last.exitedAt >= now - late ? last : undefined);
  if (ran === undefined) return false;
  if (asked === 'running') return true;
  const { readyAt } = ran.health;
  return (entry?.health?.ready ?? null) === null ? ran.startedAt + (entry?.settle ?? 0) <= now : readyAt !== null;
}

/** What is ended for what it does has done it. */
export function checkFault(world: World, view: View, step: { readonly id: number; readonly fault?: Fault }): void {
  const attempt = world.observed.attempts.get(view.name)?.find(({ id }) => id === step.id);
  if (attempt === undefined || step.fault === undefined) return;
  const timeout = wantedBy(view)?.timeout ?? Infinity;
  const lasts = world.time.now() - attempt.startedAt;
  const isFound = step.fault === attempt.health.verdict;
  if (step.fault === 'TimedOut' ? lasts < timeout - 0.001 : !isFound)
    world.breach(`attempt ${step.id} of ${view.name} is ended as ${step.fault} after ${lasts} ms, and is not`);
}
