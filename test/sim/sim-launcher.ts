// The simulated launcher: it remembers attempts whatever becomes of the reconciler, and starts, signals and reaps them.
import { decodeRecord, encodeRecord } from '../../controllers/containers/attempt-record.ts';
import { unseen, type Launcher } from '../../controllers/containers/containers-act.ts';
import type { HealthOrder } from '../../native/wire/health-order.ts';
import type { ObservedAttempt } from '../../state/observed.ts';
import { writtenImage, type World } from './world.ts';
import { withAttempt } from '../../controllers/containers/containers-observe.ts';

/** A request that the launcher could not carry out. */
export class LaunchError extends Error {
  readonly code: string;

  constructor(step: string, code: string, subject: string) {
    super(`${step} ${subject}: ${code}`);
    this.code = code;
  }
}

export interface SimulatedLauncher {
  /** The client of one reconciler: `told` gets every change of an attempt until `disconnect`. */
  connect(told: (attempt: ObservedAttempt) => void): {
    launcher: Launcher;
    disconnect(): void;
    /** Nobody else has connected since. */
    connected(): boolean;
  };
  /** Whether it has told something that the reconciler has not heard yet: it refuses to let that one sleep. */
  telling(): boolean;
  /** Whether a request is under way. */
  asked(): boolean;
  /** Whoever asks containers how they are dies: what it was asked for is to be asked anew. */
  loseProber(): void;
  /** Another launcher takes its place, whose records have a field more or less. */
  takeOver(): void;
  /** Ends an attempt's process from outside. */
  end(attempt: ObservedAttempt, exit: NonNullable<ObservedAttempt['exit']>): void;
  /** Ends the sandbox of a name that stands ready, if there is one. */
  lose(name: string): void;
  /** All processes die with the launcher, and what it remembers is gone; with the whole device what runDir has as well. */
  die(reboot: boolean): void;
}

/** A launcher without attempts. */
export function createLauncher(world: World): SimulatedLauncher {
  const { time, random, faults } = world;
  let told: ((attempt: ObservedAttempt) => void) | null = null;
  let life = 0;
  let underWay = 0;
  /** Requests of the reconciler that is connected. */
  let pending = 0;
  /** What allowed an instance to be, when its sandbox was made. */
  const demandOf = new Map<number, number>();
  const names = new Map<number, string>();
  /** Starts that came while their sandbox was made. */
  const held = new Map<number, () => void>();
  /** How the last instance of a name ended. */
  const ends = new Map<string, { readonly demand: number; readonly how: 'itself' | 'stopped' | 'launcher' }>();

  function find(id: number): ObservedAttempt | undefined {
    return [...world.observed.attempts.values()].flat().find((attempt) => attempt.id === id);
  }

  function put(attempt: ObservedAttempt): void {
    const { attempts } = world.observed;
    const next = withAttempt(attempts.get(attempt.name) ?? [], attempt);
    world.observed = { ...world.observed, attempts: new Map(attempts).set(attempt.name, next) };
  }

  function change(attempt: ObservedAttempt): void {
    put(attempt);
    const listener = told;
    // Frames keep their order: what was sent before arrives before.
    if (listener === null) return;
    underWay += 1;
    time.after(0.1, () => {
      underWay -= 1;
      if (told === listener) listener(attempt);
    });
  }

  function remove({ name, id }: ObservedAttempt): void {
    const attempts = new Map(world.observed.attempts);
    const rest = (attempts.get(name) ?? []).filter((attempt) => attempt.id !== id);
    if (rest.length === 0) attempts.delete(name);
    else attempts.set(name, rest);
    world.observed = { ...world.observed, attempts };
  }

  function start(id: number): void {
    const attempt = find(id);
    if (attempt?.state !== 'prepared') return;
    const { name } = attempt;
    if (random.chance(faults.error)) return failed(attempt, random.chance(0.1) ? 'ENOENT' : 'EAGAIN');
    const running = world.observed.attempts.get(name)?.find(({ state }) => state === 'running');
    if (running !== undefined) world.breach(`${name} ${attempt.version} starts while ${running.version} runs`);
    checkRepeated(attempt);
    world.log(`launcher: attempt ${id} runs ${name} ${attempt.version} (run ${String(attempt.record.run)})`);
    change({ ...attempt, state: 'running', after: 0, going: false, pid: 1000 + id, startedAt: time.now() });
    if (!world.sick || !random.chance(0.5)) return;
    const exit = random.pick([{ code: 0 }, { code: 1 }, { signal: 11 }]);
    const born = life;
    time.after(random.pick([1, 50, 500, 8000]), () => {
      const now = find(id);
      if (born === life && now?.state === 'running' && world.sick) end(now, exit);
    });
  }

  /** `restart: never` is not started twice unless its entry changed or it was stopped. */
  function checkRepeated({ name, record }: ObservedAttempt): void {
    // Runs of a schedule have numbers of their own (sim-schedules.ts).
    if (record.by !== undefined) return;
    const last = ends.get(name);
    const entry = world.entry(name);
    if (entry?.restart.policy !== 'never' || entry.state !== 'running' || record.autostart || last === undefined)
      return;
    if (last.demand === (world.demands.get(name) ?? 0) && last.how !== 'stopped') {
      world.breach(`${name} is repeated against restart: never (its last instance ended by ${last.how})`);
    }
  }

  function failed(attempt: ObservedAttempt, code: string): void {
    world.log(`launcher: attempt ${attempt.id} of ${attempt.name} fails with ${code}`);
    const step = attempt.state === 'preparing' ? 'clone' : 'exec';
    change({
      ...attempt,
      state: 'failed',
      after: 0,
      going: false,
      exitedAt: time.now(),
      failure: { step, code, subject: '/app' },
    });
  }

  function end(attempt: ObservedAttempt, exit: NonNullable<ObservedAttempt['exit']>): void {
    world.log(`launcher: attempt ${attempt.id} of ${attempt.name} ended: ${JSON.stringify(exit)}`);
    const how = attempt.record.stop === null ? 'itself' : 'stopped';
    ends.set(attempt.name, { demand: demandOf.get(attempt.id) ?? 0, how });
    change({ ...attempt, state: 'exited', exitedAt: time.now(), exit });
    for (const next of world.observed.attempts.get(attempt.name) ?? []) if (next.after === attempt.id) start(next.id);
  }

  function lastRun(name: string): number {
    return world.observed.attempts.get(name)?.findLast(({ startedAt }) => startedAt > 0)?.id ?? 0;
  }

  /** Nothing is told to stop that should go on: neither for a replacement that nobody asked for nor for anything else. */
  function checkStop(attempt: ObservedAttempt): void {
    const { id, name, record } = attempt;
    if (world.stopping || record.stop !== null || writtenImage(world.observed, attempt) !== null) return;
    const partners = world.entry(name)?.restartWith ?? [];
    if (partners.some((partner) => lastRun(partner) !== record.beside[partner])) return;
    const same = demandOf.get(id) === (world.demands.get(name) ?? 0);
    if (same) world.breach(`attempt ${id} of ${name} is told to stop and nothing asked for it`);
  }

  function kill(id: number, signal: number): void {
    const attempt = find(id);
    if (attempt?.state !== 'running') throw new LaunchError('kill', 'ESRCH', `attempt ${id}`);
    // One that has frozen itself does not even die of SIGKILL, until its groups are looked into.
    if (signal === 9) return random.chance(faults.error) ? undefined : end(attempt, { signal: 9 });
    const stubborn = random.chance(0.2);
    const exit = random.pick([{ code: 0 }, { signal }]);
    if (stubborn) return;
    time.after(random.pick([0, 1, 50]), () => {
      const now = find(id);
      if (now?.state === 'running') end(now, exit);
    });
  }

  /** What is asked of one that runs: sooner or later it is ready, or it is late, or it is found wanting. */
  function ask(order: HealthOrder): void {
    const attempt = find(order.id);
    if (attempt?.state !== 'running') throw new LaunchError('health', 'EINVAL', `attempt ${order.id}`);
    const { revision, within, notify, probes, watchdog } = order;
    change({ ...attempt, health: { ...attempt.health, revision } });
    const waits = attempt.health.readyAt === null && (notify || probes.some(({ role }) => role === 'ready'));
    const takes = world.sick ? random.pick([1, 300, 5000]) : 1;
    const isLate = within > 0 && takes > within;
    if (waits && !isLate) later(order, takes, () => ({ readyAt: time.now() }));
    if (waits && isLate) later(order, within, () => ({ verdict: 'NotReady' }));
    const isAsked = watchdog > 0 || probes.some(({ role }) => role === 'alive');
    const verdict = watchdog > 0 ? ('WatchdogExpired' as const) : ('Unhealthy' as const);
    if (isAsked && world.sick && random.chance(0.3)) later(order, takes + 1000, () => (world.sick ? { verdict } : {}));
  }

  function later({ id, revision }: HealthOrder, delay: number, next: () => Partial<ObservedAttempt['health']>): void {
    const born = life;
    time.after(delay, () => {
      const now = find(id);
      if (born !== life || now?.state !== 'running' || now.health.revision !== revision) return;
      world.log(`launcher: attempt ${id} of ${now.name} is ${JSON.stringify(next())}`);
      change({ ...now, health: { ...now.health, ...next() } });
    });
  }

  const requests: Launcher = {
    async prepare({ id, name, hash, record }) {
      const content = decodeRecord(record);
      const { version } = content;
      change({ ...unseen, id, name, hash, record: content, version, preparedAt: 0, state: 'preparing' });
      await time.sleep(random.pick([0.5, 1, 20]));
      const attempt = find(id);
      queueMicrotask(() => held.get(id)?.());
      if (attempt?.state !== 'preparing') throw new LaunchError('prepare', 'ESRCH', `attempt ${id}`);
      // Its group was removed since it was made.
      const isGone = world.observed.cgroups.get(name)?.leaves.includes(id) !== true;
      if (isGone || random.chance(faults.error)) {
        failed(attempt, random.chance(0.1) ? 'ENOENT' : 'ENOMEM');
        throw new LaunchError('clone', 'ENOMEM', name);
      }
      change({ ...attempt, state: 'prepared', pid: 1000 + id, preparedAt: time.now() });
    },
    async go({ id, after, record }) {
      const early = find(id);
      if (early?.state === 'preparing') {
        change({ ...early, record: decodeRecord(record), going: true });
        await new Promise<void>((resolve) => held.set(id, resolve));
      }
      held.delete(id);
      const attempt = find(id);
      if (attempt === undefined) throw new LaunchError('go', 'ESRCH', `attempt ${id}`);
      if (attempt.state === 'failed') throw new LaunchError('go', 'ENOMEM', `attempt ${id}`);
      if (attempt.state !== 'prepared') return;
      const asked = decodeRecord(record);
      put({ ...attempt, record: asked, after });
      if (after !== 0 && find(after)?.state === 'running') change({ ...attempt, record: asked, after, going: true });
      else start(id);
      if (find(id)?.state === 'failed') throw new LaunchError('exec', 'EAGAIN', '/app');
    },
    async kill(id, signal) {
      kill(id, signal);
    },
    async forget(id) {
      const attempt = find(id);
      if (attempt === undefined) return;
      const goes = attempt.going && attempt.after === 0;
      if (attempt.state === 'running' || goes) throw new LaunchError('forget', 'EBUSY', `attempt ${id}`);
      remove(attempt);
    },
    async health(order) {
      ask(order);
    },
    async record(id, bytes) {
      const attempt = find(id);
      if (attempt === undefined) throw new LaunchError('record', 'ESRCH', `attempt ${id}`);
      const record = decodeRecord(bytes);
      const isOrdered = record.stop !== null && record.stop.fault === undefined;
      if (isOrdered && attempt.record.stop === null) checkStop(attempt);
      put({ ...attempt, record });
    },
  };

  /** A request takes its time to arrive, and so does the answer; a reconciler that died hears none. */
  function over<A extends unknown[]>(listener: typeof told, request: (...args: A) => Promise<void>) {
    return async (...args: A): Promise<void> => {
      const born = life;
      pending += 1;
      await time.sleep(0.1);
      if (born !== life) return never();
      const result = await request(...args).then(
        () => null,
        (error: unknown) => (error instanceof Error ? error : new Error(String(error))),
      );
      await time.sleep(0.1);
      if (told !== listener || born !== life) return never();
      pending -= 1;
      if (result !== null) throw result;
    };
  }

  return {
    connect(listener) {
      told = listener;
      pending = 0;
      const prepare = over(listener, requests.prepare);
      const go = over(listener, requests.go);
      const launcher: Launcher = {
        prepare(sandbox) {
          names.set(sandbox.id, sandbox.name);
          demandOf.set(sandbox.id, world.demands.get(sandbox.name) ?? 0);
          return prepare(sandbox);
        },
        go(start) {
          const name = names.get(start.id) ?? '';
          world.noted.add(`${name} ${String(decodeRecord(start.record).run)}`);
          return go(start);
        },
        kill: over(listener, requests.kill),
        forget: over(listener, requests.forget),
        health: over(listener, requests.health),
        record: over(listener, requests.record),
      };
      const connected = (): boolean => told === listener;
      return { launcher, connected, disconnect: () => void (told = null) };
    },
    end,
    lose(name) {
      const ready = world.observed.attempts.get(name)?.find(({ state }) => state === 'prepared');
      if (ready !== undefined) failed(ready, 'ECHILD');
    },
    telling: () => underWay > 0,
    asked: () => pending > 0,
    takeOver() {
      for (const attempt of [...world.observed.attempts.values()].flat()) {
        const newer = Buffer.from(JSON.stringify({ ...attempt.record, newer: 'field' }));
        put({ ...attempt, record: decodeRecord(random.chance(0.5) ? newer : encodeRecord(attempt.record)) });
      }
      // Who asks containers how they are was of the former one.
      this.loseProber();
    },
    loseProber() {
      for (const attempt of [...world.observed.attempts.values()].flat()) {
        if (attempt.state === 'running') change({ ...attempt, health: { ...attempt.health, revision: 0 } });
      }
    },
    die(reboot) {
      life += 1;
      world.failures = [];
      told = null;
      held.clear();
      for (const [name, attempts] of world.observed.attempts) {
        const running = attempts.find(({ state }) => state === 'running');
        const noted = running !== undefined && world.observed.ran.get(name)?.run === running.record.run;
        if (noted) ends.set(name, { demand: demandOf.get(running.id) ?? 0, how: 'launcher' });
      }
      if (reboot) ends.clear();
      const notes = reboot ? [] : [...world.observed.ran];
      const ran = new Map(notes.map(([name, note]) => [name, { ...note, attempt: null }]));
      world.observed = { ...world.observed, attempts: new Map(), mounts: new Map(), ran };
    },
  };
}

function never(): Promise<never> {
  return new Promise(() => undefined);
}
