// One life of the reconciler on the simulated device: its store, the real loop, model and planners, and acts on the device.
import { limited, parentOf, planCgroups, sectionOf } from '../../controllers/cgroups/cgroups-plan.ts';
import { act, type ContainerPorts, type Sandboxes } from '../../controllers/containers/containers-act.ts';
import { plan as planContainers, type ContainerStep } from '../../controllers/containers/containers-plan.ts';
import { partOf, type Part, type Step, type View } from '../../controllers/controller.ts';
import { noGroup, type AnyStep } from '../../controllers/forecast/effect.ts';
import { TerminalError } from '../../controllers/failure.ts';
import { planMounts } from '../../controllers/mounts/mounts-plan.ts';
import { createModel } from '../../controllers/reconcile/model.ts';
import { createReconciler, type Reconciler } from '../../controllers/reconcile/reconciler.ts';
import { planRepositories, type InstallStep } from '../../controllers/repositories/repositories-plan.ts';
import type { Observed, ObservedAttempt } from '../../state/observed.ts';
import { createStore, emptyState, type State, type Store } from '../../state/store.ts';
import { matches, parseRequirement } from '../../state/version.ts';
import { names, packageAt } from './catalog.ts';
import type { SimulatedLauncher } from './sim-launcher.ts';
import { demandByPackages, hierarchies, type World } from './world.ts';
import { healthOf, revisionOf } from '../../controllers/containers/readiness.ts';
import { checkAhead, checkFault, checkGates, checkPlace } from './invariants.ts';
import { simulatedSchedules } from './sim-records.ts';
import { prepareAhead } from '../../src/daemon/ahead-sandboxes.ts';
import { atOnce } from '../../state/in-slices.ts';
import { withAttempt } from '../../controllers/containers/containers-observe.ts';

export interface Host {
  readonly store: Store;
  readonly reconciler: Reconciler;
  view(name: string): View;
  /** Has what is true of a name noticed, as an event would. */
  notice(name: string): void;
  /** Whether it is there: not crashed, and not asleep. */
  lives(): boolean;
  /** Writes again what was deleted in runDir; false = there is nobody who would. */
  restore(): boolean;
  /** Takes over the document, the lock and the generation. */
  reload(): void;
  /** Names that could not be taken down, once the runtime has gone down. */
  stopped: readonly string[] | null;
  /** When the clock rings next, ms; null: never. */
  deadline(): number | null;
  /** Ends this life in an instant: nothing that is under way is heard of again. */
  crash(): void;
}

/** Starts a reconciler: it is told what the launcher remembers, observes everything, and begins. */
export function startHost(world: World, simulated: SimulatedLauncher): Host {
  const { time, random } = world;
  const store = createStore(initialState(world));
  let alive = true;
  let nextId = 0;
  const model = createModel({ autostart: !world.judged });
  const viewOf = (name: string): View => model.view(name, time.now());

  const { launcher, disconnect } = simulated.connect((attempt) => {
    nextId = Math.max(nextId, attempt.id);
    observeAttempt(attempt);
    if (alive && (attempt.state === 'exited' || attempt.state === 'failed')) reconciler.hurry(attempt.name);
  });

  function observeAttempt(attempt: ObservedAttempt): void {
    if (!alive) return;
    put(attempt.name, withAttempt(attemptsOf(attempt.name), attempt));
  }

  function attemptsOf(name: string): readonly ObservedAttempt[] {
    return store.get().observed.attempts.get(name) ?? [];
  }

  function put(name: string, attempts: readonly ObservedAttempt[]): void {
    store.update(({ observed }) => {
      const map = observed.attempts as Map<string, readonly ObservedAttempt[]>;
      if (attempts.length === 0) map.delete(name);
      else map.set(name, attempts);
    });
  }

  function copy(name: string, kinds: readonly (keyof Observed)[]): void {
    const { observed: seen } = store.get();
    const readable = kinds.filter((kind) => kind !== 'packages' || world.unreadable === null);
    const changed = readable.filter((kind) => seen[kind].get(name) !== world.observed[kind].get(name));
    if (!alive || changed.length === 0) return;
    if (changed.includes('packages')) demandByPackages(world, name);
    store.update(({ observed }) => {
      for (const kind of changed) {
        const map = observed[kind] as Map<string, unknown>;
        const truth = world.observed[kind].get(name);
        if (truth === undefined) map.delete(name);
        else map.set(name, truth);
      }
    });
  }

  /** An effect on the device, and the observation of it: in between anything may happen. */
  async function perform(step: AnyStep, kind: keyof Observed): Promise<void> {
    const { observed, desired } = world;
    const leaves = viewOf(step.name).cgroup?.leaves ?? [];
    await pause();
    if (random.chance(world.faults.error)) throw failure(step);
    if (step.op === 'install' && world.unreadable !== null) throw new Error('the repository cannot be read');
    if (step.op === 'install' && world.removed !== null)
      throw new TerminalError('UnknownRepository', 'there is no such repository');
    if (step.op === 'install' && !holdsAsked(step))
      throw new TerminalError('WrongPackage', `${step.source} is another version`);
    if (step.op === 'end-leaf') endLeaf(step.name, step.attempt);
    else world.perform(step, viewOf(step.name), { observed, desired, leaves });
    await pause();
    if (random.chance(world.faults.error)) {
      copy(step.name, [kind]);
      throw failure(step);
    }
    copy(step.name, [kind]);
  }

  function endLeaf(name: string, id: number): void {
    const attempt = world.observed.attempts.get(name)?.find((each) => each.id === id);
    if (attempt?.state === 'running') simulated.end(attempt, { signal: 9 });
  }

  async function pause(): Promise<void> {
    await time.sleep(random.chance(world.faults.delay) ? 3000 : random.pick([0, 0.2, 1]));
    if (!alive) await new Promise(() => undefined);
  }

  function failure(step: Step): Error {
    const message = `${step.op} of ${step.name} fails`;
    return random.chance(0.1) ? new TerminalError('BadImage', message) : new Error(message);
  }

  const sandboxes: Sandboxes = {
    hash: () => String(world.host),
    async prepare(view, target, id) {
      const hash = String(world.host);
      const section = sectionOf(target);
      const none = noGroup(view.name, parentOf(section));
      const known = world.observed.cgroups.get(view.name) ?? none;
      // What somebody else has made just now nobody has seen.
      checkPlace(world, store.get().observed.cgroups.get(view.name) ?? none, none.place);
      const next = { ...known, leaves: [...known.leaves, id], ...limited(none, section, hierarchies) };
      world.observed = { ...world.observed, cgroups: new Map(world.observed.cgroups).set(view.name, next) };
      copy(view.name, ['cgroups']);
      await pause();
      if (random.chance(world.faults.error)) throw new Error(`the sandbox of ${target.key} cannot be described`);
      return { hash, ops: [], lacks: [], close: () => undefined };
    },
    async go() {
      await pause();
      return { ops: [], close: () => undefined };
    },
    async health(_, target, { id }) {
      await pause();
      const asked = target.entry.paused ? null : healthOf(target);
      const { within, watchdog } = { within: asked?.within ?? 0, watchdog: asked?.watchdog ?? 0 };
      const probes = [
        ...(asked === null || asked.ready === null || asked.ready === 'notify'
          ? []
          : [{ ...probe, role: 'ready' as const }]),
        ...(asked === null || asked.alive === null ? [] : [{ ...probe, role: 'alive' as const }]),
      ];
      const notify = asked?.ready === 'notify';
      return { order: { id, revision: revisionOf(target), within, watchdog, notify, probes }, close: () => undefined };
    },
  };

  const ports: ContainerPorts = {
    launcher,
    sandboxes,
    now: () => time.now(),
    view: viewOf,
    nextId: () => (nextId = world.fresh()),
    observe: observeAttempt,
    gone: async () => pause(),
    async soon(change) {
      await pause();
      change();
    },
    forgotten(name, id) {
      if (!alive) return;
      const rest = attemptsOf(name).filter((attempt) => attempt.id !== id);
      put(name, rest);
    },
    ahead(name, said) {
      if (said?.what === 'failed') world.log(`  ${name} gets no sandbox in advance`);
      if (!alive) return;
      store.update(({ ahead }) => {
        if (said === null) ahead.delete(name);
        else ahead.set(name, said);
      });
    },
    thaw: async () => pause(),
    touch: async () => pause(),
    note(name, ran) {
      const next = new Map(world.observed.ran);
      if (ran === null) next.delete(name);
      else next.set(name, ran);
      world.observed = { ...world.observed, ran: next };
      copy(name, ['ran']);
    },
  };

  const parts: Part[] = [
    simulatedSchedules(world, { store, view: viewOf, pause }),
    partOf(
      (view) => planRepositories(view, 'system'),
      (step) => perform(step, 'packages'),
    ),
    partOf(planMounts, (step) => perform(step, 'mounts')),
    partOf(
      (view) => planCgroups(view, hierarchies),
      (step) => perform(step, 'cgroups'),
    ),
    partOf(planContainers, async (step: ContainerStep) => {
      await pause();
      if (!isAhead(step) && random.chance(world.faults.error)) throw failure(step);
      await act(step, ports);
    }),
  ];

  const reconciler = createReconciler({
    store,
    model,
    clock: {
      now: () => time.now(),
      setDeadline(at) {
        const set = ++deadlines;
        deadline = at;
        if (at !== null) time.after(Math.max(0, at - time.now()), () => alive && set === deadlines && reconciler.due());
      },
    },
    random,
    defer: (task, delay) => time.after(delay, () => alive && task()),
    parts: parts.map((each) => ({
      plan: each.plan,
      async act(step, signal) {
        // What runs is asked how it is by each reconciler that finds it unasked: that is no repair. Nor is what is made in advance.
        if (!isAhead(step)) world.acts += 1;
        if (step.op !== 'ask' && !isAhead(step)) world.acted.add(step.name);
        world.log(`${step.op} ${describe(step)}${isAhead(step) ? ' in advance' : ''}`);
        if (isAhead(step)) checkAhead(world, viewOf(step.name));
        if (step.op === 'start' || step.op === 'go') checkGates(world, viewOf, step.name);
        if (step.op === 'signal') checkFault(world, viewOf(step.name), step as ContainerStep & { op: 'signal' });
        await each.act(step, signal);
      },
    })),
    kept: { earlier: world.failures, keep: (failures) => void (world.failures = failures) },
    setLock(key, locked) {
      world.lock.set(key, locked);
      store.update(({ lock }) => void (lock as Map<string, unknown>).set(key, locked));
    },
    autostart: !world.judged,
    autostartDone: () => void (world.judged = true),
    wallClock: (boot) => new Date(boot).toISOString(),
    critical: () => undefined,
    acted(step, failed) {
      if (failed !== null) world.log(`  ${step.op} of ${step.name} failed: ${failed.message}`);
      if (failed !== null && isAhead(step))
        world.breach(`a sandbox of ${step.name} in advance has failed for all to see`);
    },
    stopped: (left) => void (host.stopped = left),
  });
  prepareAhead({
    ...{ store, reconciler, view: viewOf, hold: () => () => undefined, memory: () => world.memory },
    after: (delay, task) => time.after(delay, () => alive && task()),
    compute: async (work) => atOnce(work),
    failed: (error) => world.breach(String(error)),
  });
  let deadlines = 0;
  let deadline: number | null = null;

  const host: Host = {
    store,
    reconciler,
    view: viewOf,
    deadline: () => deadline,
    stopped: null,
    notice: (name) => copy(name, world.blind ? ['packages'] : ['packages', 'mounts', 'cgroups']),
    lives: () => alive,
    restore() {
      if (alive) world.observed = { ...world.observed, ran: store.get().observed.ran };
      return alive;
    },
    reload() {
      const { repositories } = store.get().desired;
      store.update((draft) => {
        const known = { desired: world.desired, generation: world.generation, lock: new Map(world.lock) };
        Object.assign(draft, { ...known, unknown: null });
      });
      if (repositories !== world.desired.repositories) for (const name of names) copy(name, ['packages']);
    },
    crash() {
      alive = false;
      if (world.unreadable !== null) world.unreadable = store.get().observed.packages;
      disconnect();
      reconciler.close();
    },
  };
  reconciler.start();
  if (world.stopping) reconciler.stop();
  return host;
}

/** While nothing can be read the packages are those that an earlier reconciler has read, and the document may be unknown. */
function initialState(world: World): State {
  const { desired, generation, unreadable, random } = world;
  const observed = unreadable === null ? world.observed : { ...world.observed, packages: unreadable };
  const base = { ...emptyState(), clock: world.clock, observed };
  if (unreadable !== null && random.chance(0.5)) return { ...base, unknown: 'EIO' };
  return { ...base, desired, generation, lock: new Map(world.lock) };
}

const probe = {
  kind: 'tcp',
  every: 100,
  timeout: 100,
  failures: 3,
  address: '127.0.0.1',
  port: 1,
  path: '',
  ops: [],
} as const;

function holdsAsked({ source, version, unwanted }: InstallStep): boolean {
  const held = packageAt(source, 0).version;
  if (unwanted.includes(held)) return false;
  return version === null || matches(parseRequirement(/^\d/.test(version) ? `=${version}` : version), held);
}

function isAhead(step: Step): boolean {
  return 'ahead' in step && step.ahead === true;
}

function describe(step: Step): string {
  const { id, key, after, version, waits: _, ...rest } = { id: '', key: '', after: 0, version: '', ...step };
  return [rest.name, id, key, version, after === 0 ? '' : `after ${after}`].filter((text) => text !== '').join(' ');
}
