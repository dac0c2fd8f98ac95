// One run of the simulation: a seed decides the document, everything that happens, and every failure.
import { names, randomDocument, versions } from './catalog.ts';
import { checkConverged } from './convergence.ts';
import { createHistory, type History } from './sim-history.ts';
import { drift, edit, leaveGroups } from './sim-events.ts';
import { startHost } from './host.ts';
import { checkDevice } from './invariants.ts';
import { createLauncher } from './sim-launcher.ts';
import { createRandom } from './random.ts';
import { cutPower, keepPlan, playPlan, type Playing, type SimulatedPlan } from './sim-boot.ts';
import { askSleeper, sleep, type Sleeper } from './sim-sleep.ts';
import { createTime } from './time.ts';
import { createWorld, drop, type World } from './world.ts';

export interface Outcome {
  readonly seed: number;
  /** Which invariant broke, null when all held. */
  readonly broken: string | null;
  readonly trace: readonly string[];
  readonly acts: number;
}

/** What may happen between the first fault and the last. */
const CALM = { error: 0, delay: 0, lost: 0 };
const MINUTES = 60_000;

interface Run extends Sleeper {
  readonly history: History;
  /** What was kept for the next boot, some time ago. */
  kept: SimulatedPlan | null;
  /** What the last boot's player has done. */
  playing: Playing | null;
}

/** Runs one seed. The same seed gives the same trace, to the last line. */
export async function simulate(seed: number): Promise<Outcome> {
  const random = createRandom(seed);
  const time = createTime();
  const world = createWorld(random, time);
  world.memory = { ...world.memory, total: random.pick([64, 128, 4096]) * 2 ** 20 };
  world.memory = { ...world.memory, available: world.memory.total / 2 };
  const launcher = createLauncher(world);
  for (const name of names) for (const version of versions) if (random.chance(0.5)) drop(world, name, version);
  world.desired = randomDocument(random);
  world.log(
    `document: ${JSON.stringify(world.desired, (_key, value: unknown) => (value instanceof Map ? [...value] : value))}`,
  );
  const run: Run = {
    world,
    launcher,
    history: createHistory(world),
    host: startHost(world, launcher),
    kept: null,
    playing: null,
  };
  try {
    await trouble(run);
    await calm(run);
    if (repeating(world).size === 0) await askSleeper(run, () => settle(run, 300));
    await oneMoreEdit(run);
    if (random.chance(0.5)) await quietTakeover(run);
    if (random.chance(0.5)) await quietBoot(run);
    if (random.chance(0.5)) await goDown(run);
  } catch (error) {
    world.breach(error instanceof Error ? (error.stack ?? error.message) : String(error));
  } finally {
    run.host.crash();
  }
  return { seed, broken: world.broken, trace: world.trace, acts: world.acts };
}

/** Edits, drift, failures and deaths, some of them while the one before is still being worked on. */
async function trouble(run: Run): Promise<void> {
  const { world } = run;
  const { random, time, faults } = world;
  Object.assign(faults, random.chance(0.3) ? CALM : { error: 0.1, delay: 0.05, lost: 0.2 });
  for (let left = random.between(3, 10); left > 0; left -= 1) {
    await until(run, time.now() + random.pick([0, 1, 3, 10, 100, 1000]));
    await happen(run);
  }
}

async function happen(run: Run): Promise<void> {
  const { world, launcher } = run;
  const { random } = world;
  const what = random();
  if (!world.lostNotes && random.chance(0.5)) sleep(run);
  if (random.chance(0.3)) run.kept = keepPlan(world);
  if (random.chance(0.2)) changeMemory(world);
  if (what < 0.42) {
    edit(world);
    run.host.reload();
    run.history.make();
  } else if (what < 0.72) {
    const name = drift(world, launcher);
    if (name !== null && !random.chance(world.faults.lost)) run.host.notice(name);
  } else if (what < 0.78) {
    switchReads(run);
  } else if (what < 0.81) {
    switchTables(run);
  } else if (what < 0.85) {
    run.history.switchDisk();
  } else if (what < 0.88) {
    vanish(run);
  } else if (what < 0.95) {
    if (random.chance(0.5)) await takeOver(run);
    else {
      world.log('the reconciler is killed');
      await revive(run);
    }
  } else {
    const reboot = random.chance(0.3);
    world.log(reboot ? 'the device is started anew' : 'the launcher is killed');
    if (reboot) {
      // A power cut leaves the old plan, the new one or none.
      await boot(run, random.pick([run.kept, keepPlan(world), keepPlan(world), null]), random.chance(0.3));
      return;
    }
    launcher.die(false);
    world.judged = false;
    await revive(run);
  }
}

/** Much of it is in use, or little; nobody is told. */
function changeMemory(world: World): void {
  const { total } = world.memory;
  world.memory = { total, available: (total * world.random.pick([1, 3, 8])) / 32 };
  world.log(`${world.memory.available} bytes of memory are available`);
}

/** Reads of the mount table and of control groups begin to fail, or go well again. What an act does is seen all the same. */
function switchTables({ world, host }: Run): void {
  world.blind = !world.blind;
  world.log(`reads of the mount table and of control groups ${world.blind ? 'fail' : 'go well again'}`);
  if (!world.blind) for (const name of names) host.notice(name);
}

/** runDir is emptied: a reconciler that lives makes it again from what it knows; a run that nobody knows of may be repeated. */
function vanish({ world, host, history }: Run): void {
  world.log('runDir is emptied');
  world.observed = { ...world.observed, ran: new Map() };
  history.vanish();
  world.lostNotes = host.lives();
  if (!world.lostNotes) for (const name of names) world.demand(name);
  world.time.after(world.random.pick([0.5, 5]), () => {
    if (host.restore()) world.lostNotes = false;
  });
}

/** Reads of the repository and the document begin to fail, or go well again: what was missed is seen then. */
function switchReads({ world, host }: Run): void {
  const fail = world.unreadable === null;
  world.log(`reads of the repository and the document ${fail ? 'fail' : 'go well again'}`);
  const known = world.unreadable;
  world.unreadable = fail ? host.store.get().observed.packages : null;
  if (known === null) return;
  // What was dropped meanwhile is asked for from now on.
  for (const name of names) if (world.observed.packages.get(name) !== known.get(name)) world.demand(name);
  host.reload();
  for (const name of names) host.notice(name);
}

/**
 * What was on its way to the launcher arrives before the next reconciler is told anything. One that hung did nothing for as
 * long as the launcher bore it.
 */
async function revive(run: Run, reboot = false, play: () => void = () => undefined): Promise<void> {
  const { world } = run;
  run.host.crash();
  play();
  run.history.crash();
  if (world.lostNotes) for (const name of names) world.demand(name);
  world.lostNotes = false;
  await until(run, world.time.now() + world.random.pick([1, 30, 15_000]));
  // One that cannot read the mount table waits for it.
  if (world.blind) await until(run, world.time.now() + world.random.pick([100, 10_000]));
  world.blind = false;
  run.history.revive(reboot);
  run.host = startHost(world, run.launcher);
}

/** At whatever step the reconciler is: it is killed, and the next one is another launcher's. */
async function takeOver(run: Run): Promise<void> {
  run.world.log('another runtime takes over');
  run.launcher.takeOver();
  await revive(run);
}

/** What has converged stays as it is, whoever takes over. */
async function quietTakeover(run: Run): Promise<void> {
  const { world } = run;
  if (world.broken !== null || run.host.reconciler.outcome(null).result !== 'converged') return;
  world.acted.clear();
  await takeOver(run);
  await settle(run, 100);
  const repeats = repeating(world);
  const moved = [...world.acted].filter((name) => !repeats.has(name));
  if (moved.length > 0) world.breach(`after a takeover there are steps for ${moved.join(', ')}`);
}

/** With a plan, which does not fit any more where somebody has edited the document, or without one; how far the player comes. */
async function boot(run: Run, plan: SimulatedPlan | null, edited = false): Promise<void> {
  const { world, launcher } = run;
  if (edited) edit(world);
  await revive(run, true, () => {
    cutPower(world, launcher);
    for (const name of names) world.demand(name);
    run.playing = plan === null ? null : playPlan(world, launcher, plan);
  });
}

/** What has converged runs again after a boot, and the reconciler finds nothing to do about what was played. */
async function quietBoot(run: Run): Promise<void> {
  const { world } = run;
  if (world.broken !== null || run.host.reconciler.outcome(null).result !== 'converged') return;
  await boot(run, keepPlan(world));
  const { playing } = run;
  if (playing?.done !== true) return;
  world.acted.clear();
  await settle(run, 100);
  const repeats = repeating(world);
  const again = [...world.acted].filter((name) => playing.played.has(name) && !repeats.has(name));
  if (again.length > 0) world.breach(`after a played boot there are steps for ${again.join(', ')}`);
}

/** Nothing fails any more, and what went unnoticed is looked for: it converges within a bounded number of steps. */
async function calm(run: Run): Promise<void> {
  const { world } = run;
  Object.assign(world.faults, CALM);
  world.sick = false;
  endTimeouts(world);
  run.host.reload();
  world.log('calm');
  if (world.unreadable !== null) switchReads(run);
  if (world.blind) switchTables(run);
  leaveGroups(world);
  run.history.calm();
  for (const name of names) run.host.notice(name);
  run.host.reconciler.look(names);
  await settle(run, 300);
}

/** What is ended again and again never comes to rest. */
function endTimeouts(world: World): void {
  const entries = [...world.desired.containers].map(
    ([key, entry]) => [key, entry.restart.policy === 'never' ? entry : { ...entry, timeout: null }] as const,
  );
  world.desired = { ...world.desired, containers: new Map(entries) };
}

async function settle(run: Run, most: number): Promise<void> {
  const { world } = run;
  const before = world.acts;
  const end = world.time.now() + 10 * MINUTES;
  while (world.broken === null && (await step(run, end)));
  if (world.broken === null && repeating(world).size === 0) {
    if (world.acts - before > most) world.breach(`it took ${world.acts - before} steps to converge`);
    checkConverged(world, run.host);
  }
  run.history.check();
}

/** Names that never rest: what runs for longer than its timeout is ended, and started again. */
function repeating({ desired }: World): Set<string> {
  const entries = [...desired.containers.values()];
  const repeats = entries.filter(({ timeout, restart }) => timeout !== null && restart.policy !== 'never');
  return new Set(repeats.map(({ name }) => name));
}

/** An edit of one entry makes steps for that name and for what it needs, and for no other. */
async function oneMoreEdit(run: Run): Promise<void> {
  const { world, host } = run;
  if (world.broken !== null || host.reconciler.outcome(null).result !== 'converged') return;
  world.acted.clear();
  const concerned = new Set([...edit(world), 'data']);
  // Who depends on it may be started anew with it.
  for (const { name, dependsOn } of world.desired.containers.values())
    if ([...dependsOn.keys()].some((each) => concerned.has(each))) concerned.add(name);
  host.reload();
  await settle(run, 60);
  const repeats = repeating(world);
  const others = [...world.acted].filter((name) => !concerned.has(name) && !repeats.has(name));
  if (others.length > 0) world.breach(`an edit of ${[...concerned].join(' or ')} made steps for ${others.join(', ')}`);
}

/** Everything is stopped, and nothing but files is left. */
async function goDown(run: Run): Promise<void> {
  const { world } = run;
  if (world.broken !== null) return;
  world.log('the runtime is told to go down');
  world.stopping = true;
  run.host.reconciler.stop();
  const end = world.time.now() + MINUTES;
  const down = () => run.host.stopped !== null;
  const holds = () => world.broken === null;
  while (holds() && !down() && (await step(run, end)));
  const { mounts, cgroups, attempts } = world.observed;
  const running = [...attempts.values()].flat().filter(({ state }) => state !== 'exited' && state !== 'failed');
  const left = [...mounts.keys(), ...cgroups.keys(), ...running.map(({ name }) => name)];
  if (!down() || left.length > 0) world.breach(`going down leaves ${left.join(', ')}`);
}

async function until(run: Run, end: number): Promise<void> {
  while (run.world.broken === null && (await step(run, end)));
}

async function step({ world }: Run, end: number): Promise<boolean> {
  const before = world.observed;
  const more = await world.time.step(end);
  if (world.observed !== before) checkDevice(world);
  return more;
}
