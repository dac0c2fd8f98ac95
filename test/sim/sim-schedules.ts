// A simulated device on which only schedules are looked at: runs that end, a clock that is not set, and jumps, deaths and times
// without anybody there.
import assert from 'node:assert/strict';
import type { ContainerEntry } from '../../state/desired.ts';
import { cronAfter } from '../../state/schema/cron.ts';
import { wallTime, type Schedule } from '../../state/schedule.ts';
import { randomEntry } from './catalog.ts';
import { startHost } from './host.ts';
import { checkDevice } from './invariants.ts';
import { createLauncher } from './sim-launcher.ts';
import { createRandom } from './random.ts';
import { sleep, type Sleeper } from './sim-sleep.ts';
import { createTime } from './time.ts';
import { createWorld, drop, type World } from './world.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** Two hours before Berlin's clocks go forward, and back. */
const changes = [Date.UTC(2026, 2, 28, 23), Date.UTC(2026, 9, 24, 22)];

interface Run extends Sleeper {
  readonly schedule: Schedule;
  readonly policy: 'never' | 'on-failure';
  /** When runs have begun: the number, the time of the simulation, the wall clock. */
  readonly starts: { readonly run: number; readonly at: number; readonly wall: number | null }[];
  readonly seen: Set<number>;
  /** The longest that a run takes. */
  longest: number;
}

const name = 'alpha';

/** One seed: troubles, then a while in which every time that is due has its run, then a gap. Throws what breaks, with the trace. */
export async function simulateSchedule(seed: number): Promise<void> {
  const random = createRandom(seed);
  const time = createTime();
  const world = createWorld(random, time);
  const launcher = createLauncher(world);
  world.sick = false;
  drop(world, name, '1.0.0');
  const schedule = randomSchedule(random);
  const policy = random.pick(['never', 'never', 'on-failure'] as const);
  world.desired = {
    ...world.desired,
    repositories: repositories(),
    containers: new Map([[name, entryOf(world, schedule, policy)]]),
  };
  const truth = random.pick(changes) - time.now();
  world.clock = { boot: 'boot 1', distance: random.chance(0.5) ? truth : 0 };
  world.log(
    `${JSON.stringify(schedule)}, restart ${policy}, the clock is ${world.clock.distance === 0 ? 'not ' : ''}set`,
  );
  const run: Run = {
    world,
    launcher,
    host: startHost(world, launcher),
    schedule,
    policy,
    starts: [],
    seen: new Set(),
    longest: 5000,
  };
  try {
    for (let left = random.between(2, 12); left > 0 && world.broken === null; left -= 1) {
      await pass(run, random.pick([10, 1000, MINUTE, 10 * MINUTE, 40 * MINUTE]));
      await trouble(run, truth);
    }
    await calm(run, truth);
    await gap(run);
  } finally {
    run.host.crash();
  }
  assert.equal(world.broken, null, `seed ${seed}\n${world.trace.slice(-200).join('\n')}`);
}

function randomSchedule(random: World['random']): Schedule {
  const manner = { jitter: random.pick([0, 0, 20_000]), missed: random.pick(['run', 'run', 'skip'] as const) };
  if (random.chance(0.5)) return { kind: 'every', every: random.pick([5 * MINUTE, 15 * MINUTE]), ...manner };
  const cron = random.pick(['*/10 * * * *', '30 2 * * *', '0 * * * *', '15,45 1-3 * * *', '@hourly']);
  return { kind: 'cron', cron, zone: random.pick(['UTC', 'Europe/Berlin']), ...manner };
}

function repositories(): World['desired']['repositories'] {
  const capacity = { containers: null, size: null };
  const system = { id: 'system', type: 'fs' as const, dir: '/system', keys: [], mountOnStart: false, capacity };
  return new Map([['system', { ...system, integrity: 'none' as const }]]);
}

function entryOf({ random }: World, schedule: Schedule, policy: Run['policy']): ContainerEntry {
  const plain = { version: null, source: null, dependsOn: new Map(), restartWith: [], health: null, cgroups: null };
  const restart = { policy, backoff: 100, maxBackoff: 1000, resetAfter: 5000, limit: 3 };
  const more = { state: 'running' as const, run: null, timeout: null, paused: false, env: new Map() };
  return { ...randomEntry(random, name, 1), ...plain, ...more, restart, schedule };
}

/** Time goes on; runs that begin are noted, and end after a while. */
async function pass(run: Run, ms: number): Promise<void> {
  const { world } = run;
  const end = world.time.now() + ms;
  while (world.broken === null && (await world.time.step(end))) look(run);
  // What nothing happened in is over as well.
  world.time.after(Math.max(0, end - world.time.now()), () => undefined);
  await world.time.step(end);
}

function look(run: Run): void {
  const { world, launcher, seen, starts } = run;
  const { time, random } = world;
  checkDevice(world);
  for (const attempt of world.observed.attempts.get(name) ?? []) {
    if (attempt.state !== 'running' || seen.has(attempt.id)) continue;
    seen.add(attempt.id);
    const number = attempt.record.run ?? -1;
    checkOnce(run, number);
    starts.push({ run: number, at: time.now(), wall: wallTime(time.now(), world.clock.distance) });
    time.after(random.between(1, run.longest), () => {
      const now = world.observed.attempts.get(name)?.find(({ id }) => id === attempt.id);
      if (now?.state === 'running') launcher.end(now, { code: random.chance(0.8) ? 0 : 1 });
    });
  }
}

/** No run begins twice; what failed is tried again by `restart`, and what the power cut off before it was written down. */
function checkOnce({ world, starts, policy }: Run, number: number): void {
  const before = starts.filter((start) => start.run === number);
  const isOwed = world.observed.schedules.get(name)?.owed === number;
  if (before.length > 0 && policy === 'never' && !(isOwed && rebooted.has(world)))
    world.breach(`run ${number} of ${name} begins twice`);
  const last = starts.at(-1)?.run ?? 0;
  if (number < last) world.breach(`run ${number} of ${name} begins after run ${last}`);
}

const rebooted = new WeakSet<World>();

async function trouble(run: Run, truth: number): Promise<void> {
  const { world, launcher } = run;
  const { random } = world;
  const what = random.pick(['kill', 'kill', 'sleep', 'sleep', 'launcher', 'reboot', 'clock', 'clock', 'slow'] as const);
  world.log(what);
  if (what === 'sleep') sleep(run);
  else if (what === 'slow') run.longest = random.pick([5000, 20 * MINUTE]);
  else if (what === 'clock')
    setClock(run, truth + random.pick([0, 0, HOUR, -HOUR, -5 * HOUR, 48 * HOUR, 9 * 365 * 24 * HOUR]));
  else {
    run.host.crash();
    if (what !== 'kill') launcher.die(what === 'reboot');
    if (what === 'reboot') {
      rebooted.add(world);
      world.clock = { boot: `boot ${world.fresh()}`, distance: random.chance(0.5) ? truth : 0 };
    }
    await pass(run, random.pick([10, 1000, 5 * MINUTE, 3 * HOUR]));
    run.host = startHost(world, launcher);
  }
}

/** Somebody sets the clock: it rings, also for one that sleeps. */
function setClock(run: Run, distance: number): void {
  const { world } = run;
  world.clock = { ...world.clock, distance };
  world.log(`the clock says ${new Date(world.time.now() + distance).toISOString()}`);
  // A sleeper is woken, and reads it.
  if (!run.host.lives()) run.host.reload();
  if (run.host.lives()) run.host.store.update((draft) => void (draft.clock = world.clock));
}

/** The clock is right, runs are short and nobody dies: every time that is due has its run, and no other time has one. */
async function calm(run: Run, truth: number): Promise<void> {
  const { world, schedule, starts } = run;
  run.longest = 5000;
  setClock(run, truth);
  // A clock that went back by less than three hours repeats nothing: what it has done before is over by then.
  await pass(run, schedule.kind === 'every' ? 30 * MINUTE : 4 * HOUR);
  const from = world.time.now();
  const first = starts.length;
  const window = schedule.kind === 'every' ? 6 * schedule.every : 24 * HOUR;
  await pass(run, window);
  await pass(run, MINUTE);
  const begun = starts
    .slice(first)
    .filter(({ run: number }, index, all) => all.findIndex((each) => each.run === number) === index);
  const due = dueIn(run, from, from + window);
  for (const at of due) {
    const found = begun.filter((start) => start.at >= at - 1 && start.at <= at + schedule.jitter + 2000);
    if (found.length === 0)
      world.breach(`nothing begins at ${stamp(world, at)}: ${begun.map((start) => stamp(world, start.at)).join(', ')}`);
  }
  if (begun.length > due.length + 1) world.breach(`${begun.length} runs for ${due.length} times that were due`);
}

/** When it is due, as the simulation counts; of `every` by its record, which says when the next is. */
function dueIn({ world, schedule }: Run, from: number, to: number): number[] {
  const { distance } = world.clock;
  const all: number[] = [];
  if (schedule.kind === 'cron') {
    let at = cronAfter(schedule.cron, schedule.zone, from + distance);
    for (; at !== null && at - distance <= to; at = cronAfter(schedule.cron, schedule.zone, at))
      all.push(at - distance);
    return all;
  }
  const next = world.observed.schedules.get(name)?.next?.due ?? 0;
  for (let at = next; at > from; at -= schedule.every) if (at <= to) all.push(at);
  return all;
}

function stamp({ clock }: World, at: number): string {
  return new Date(at + clock.distance).toISOString();
}

/** Nobody is there for three days: what was missed is made up for once, or left out. */
async function gap(run: Run): Promise<void> {
  const { world, launcher, schedule, starts } = run;
  if (world.broken !== null) return;
  run.host.crash();
  await pass(run, MINUTE);
  const first = starts.length;
  await pass(run, 72 * HOUR - 5 * MINUTE);
  run.host = startHost(world, launcher);
  const back = world.time.now();
  await pass(run, 20_000);
  const missed = new Set(starts.slice(first).map((start) => start.run)).size;
  const present = dueIn(run, back - 70_000, back + 20_000 + schedule.jitter).length > 0;
  const right = schedule.missed === 'run' ? missed === 1 || (present && missed === 2) : missed === 0 || present;
  if (!right) world.breach(`${missed} runs after three days without anybody there, and missed: ${schedule.missed}`);
}
