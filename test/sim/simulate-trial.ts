// One run of a document on trial: a seed decides what documents come, how their containers fare, and when the power fails.
import { createTrialDriver, type TrialDriver } from '../../controllers/trial/trial-driver.ts';
import type { Outcome } from '../../controllers/trial/trial-health.ts';
import { planKeptData, type KeptDataStep } from '../../controllers/kept-data/kept-data-plan.ts';
import { createModel } from '../../controllers/reconcile/model.ts';
import { stagedNames, stagedTargets } from '../../controllers/reconcile/staged-targets.ts';
import { anybody } from '../../state/document/admission.ts';
import { applyText } from '../../state/document/apply-document.ts';
import { openCore, giveUp } from '../../state/document/open-core.ts';
import type { Core } from '../../state/document/core.ts';
import { openGenerations } from '../../state/document/generations.ts';
import { keepQuarantine } from '../../state/document/keep-quarantine.ts';
import { carryOutRevert, beginRevert } from '../../state/document/revert-document.ts';
import { synchronise, type FileOptions } from '../../state/document/synchronise.ts';
import { createTrialDocuments, settleTrial, type TrialDocuments } from '../../state/document/trial-documents.ts';
import { messageOf } from '../../state/errno.ts';
import { createStore, type Store } from '../../state/store.ts';
import type { ContainerStatus } from '../../state/status.ts';
import { quarantineFile } from '../../state/trial/quarantine.ts';
import type { TrialTerms } from '../../state/trial/terms.ts';
import { trialFile } from '../../state/trial/trial-file.ts';
import { isUnderWay } from '../../state/trial/trial-record.ts';
import { createSerialQueue } from '../../state/serial-queue.ts';
import { packageOf } from '../support/views.ts';
import { createRandom, type Random } from './random.ts';
import { createTrialDevice, type Mark, type TrialDevice } from './trial-device.ts';

/** How a version fares: it is ready at once, ends for good, or never comes to be ready. */
type Fate = 'good' | 'bad' | 'never';

export interface TrialOutcome {
  readonly seed: number;
  readonly broken: string | null;
  readonly trace: readonly string[];
}

const terms: TrialTerms = { confirm: 'health', soak: 1000, within: 10_000, boots: 2 };
const fates: Readonly<Record<string, Fate>> = { '1': 'good', '2': 'bad', '3': 'never', '4': 'good', '5': 'bad' };

interface Process {
  readonly store: Store;
  readonly core: Core;
  readonly documents: TrialDocuments;
  readonly driver: TrialDriver;
  readonly onData: ReturnType<TrialDevice['ports']>['onData'];
  readonly enqueue: <T>(work: () => Promise<T>) => Promise<T>;
  readonly file: FileOptions;
  deadline: number | null;
}

interface Run {
  readonly random: Random;
  readonly device: TrialDevice;
  readonly trace: string[];
  /** CLOCK_BOOTTIME in ms. */
  now: number;
  process: Process | null;
  /** Versions that were confirmed, by health or by a person. */
  readonly confirmed: Set<string>;
  /** Boots in which the present trial was active. */
  readonly tried: Map<string, Set<number>>;
  /** Which packages are there. */
  readonly installed: Set<string>;
  /** What runs, by the version of its package; it goes on when only the reconciler ends. */
  running: string | null;
  /** What is staged is not to come into force now: a gate, or a lock. */
  held: boolean;
  /** A confirmed document was given up, until the boot ends. */
  givenUp: boolean;
  /** Why the persistent data could not be kept; null = it could. */
  unkept: string | null;
  /** Starts that were followed by no trial, whose marks are to stay. */
  readonly staying: Set<Mark>;
  /** Marks of trials that were taken back, which are to go. */
  readonly leaving: Set<Mark>;
  broken: string | null;
}

const documentOf = (version: string): string =>
  `apiVersion: northstate/v1\ncontainers: { app: { version: ${version}.0.0, persist: { snapshot: true } } }\n`;

/** Runs one seed; the same seed gives the same trace. */
export async function simulateTrial(seed: number): Promise<TrialOutcome> {
  const random = createRandom(seed);
  const device = createTrialDevice(random, documentOf('1'));
  const run: Run = {
    ...{
      random,
      device,
      trace: [],
      now: 1000,
      process: null,
      running: null,
      held: false,
      givenUp: false,
      unkept: null,
      broken: null,
    },
    ...{
      confirmed: new Set(['1.0.0']),
      tried: new Map(),
      staying: new Set(),
      leaving: new Set(),
      installed: new Set(['1', '2', '3']),
    },
  };
  try {
    await start(run, false);
    await rest(run);
    for (let left = random.between(3, 9); left > 0 && run.broken === null; left--) await happen(run);
    await calm(run);
  } catch (error) {
    run.broken ??= error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
  run.process?.driver.close();
  return { seed, broken: run.broken, trace: run.trace };
}

/** A process begins; where its end comes while it does, another one. */
async function start(run: Run, reboot: boolean): Promise<void> {
  const { device } = run;
  run.process?.driver.close();
  run.process = null;
  device.revive(reboot);
  if (reboot) Object.assign(run, { now: run.random.between(10, 500), running: null });
  if (run.random.chance(0.15)) device.cut = run.random.between(0, 12);
  run.trace.push(`a process begins in boot ${device.boot}`);
  const opened = await Promise.race([open(run), device.ended]);
  if (opened === undefined) {
    run.trace.push('it ends while it begins');
    await start(run, run.random.chance(0.7));
    return;
  }
  run.process = opened;
}

async function open(run: Run): Promise<Process> {
  const { device } = run;
  const ports = device.ports();
  const boot = String(device.boot);
  const trials = trialFile({
    disk: ports.lasting('trial.json'),
    passing: ports.passingText('trial.json'),
    boot,
    away: null,
  });
  const silent = (): void => undefined;
  const generations = await openGenerations({
    ...{ disk: ports.disk, passing: ports.passing, away: null, trial: trials },
    ...{ stand: silent, warn: silent, failed: silent },
  });
  const store = createStore();
  const core = await openCore(
    {
      ...{
        store,
        runtime: 'sim',
        configured: new Map(),
        desired: '/simulated/desired.yaml',
        stand: silent,
        failed: silent,
      },
      ...{ log: { info: silent, warn: silent, error: silent }, admission: anybody, files: ports.files },
      floor: { get: () => Promise.resolve(-1), raise: () => Promise.resolve(), settle: () => Promise.resolve(true) },
      ...{ trials, quarantines: quarantineFile(ports.lasting('quarantine.json')), configuredTrial: terms },
      understoodFile: '/dev/null/none',
      moment: () => ({ boot, at: run.now, time: run.now }),
      tell(state) {
        run.trace.push(`  ${state}: generation ${store.get().trial?.record.generation ?? 0}`);
        if (state === 'active' && run.held && run.process !== null) breach(run, 'it is put into force, and held up');
        if (state === 'reverting' || state === 'reverted') condemn(run);
      },
    },
    generations,
    ports.boot,
  );
  const file: FileOptions = { path: '/simulated/desired.yaml', exchange: silent, copyAttributes: silent };
  const { run: enqueue } = createSerialQueue();
  await synchronise(core, file, true);
  await carryOutRevert(core, file);
  const process: Process = {
    ...{ store, core, file, enqueue, onData: ports.onData, deadline: null },
    documents: createTrialDocuments(core, file, enqueue),
    driver: createDriver(),
  };
  return process;

  function createDriver(): TrialDriver {
    const documents = createTrialDocuments(core, file, enqueue);
    return createTrialDriver({
      ...{ store, documents },
      reconciler: {
        idle: () => true,
        onSettled: () => silent,
        outcomesOf: (keys) => keys.flatMap((key) => outcomeOf(run, store, key)),
      },
      staged: () => stagedNames(store.get()).flatMap((name) => stagedTargets(store.get(), name)),
      why: () => null,
      gate: () => (run.held ? 'a gate is not open, or something is locked' : null),
      now: () => run.now,
      setDeadline: (at) => {
        if (run.process !== null) run.process.deadline = at;
      },
      failed: (error) => void (run.broken ??= messageOf(error)),
    });
  }
}

function outcomeOf({ unkept }: Run, store: Store, key: string): Outcome[] {
  const entry = store.get().desired.containers.get(key);
  if (entry === undefined) return [];
  if (unkept !== null) return [{ key, result: 'failed', reason: unkept }];
  const fate = fates[entry.version?.[0] ?? ''] ?? 'never';
  const result = fate === 'good' ? 'converged' : fate === 'bad' ? 'failed' : 'moving';
  return [{ key, result, reason: fate === 'good' ? null : `${key} is ${fate}` }];
}

/** What a reconciler would have made of it: what is wanted runs, as far as its package is there and its data is as it must be. */
async function look(run: Run, process: Process): Promise<void> {
  const { store } = process;
  const { desired } = store.get();
  const version = desired.containers.get('app')?.version ?? null;
  observe(run, process);
  if (run.running !== version) run.running = null;
  run.unkept = null;
  if (version !== null && run.installed.has(version[0] ?? '') && (run.running === null || isPending(run, process)))
    await replace(run, process, version);
  observe(run, process);
}

function observe(run: Run, { store }: Process): void {
  const { generation } = store.get();
  const mounts = new Map([['/data', { type: 'persist' as const }]]);
  const packages = [...run.installed].map((each) => {
    const found = packageOf(`${each}.0.0`);
    return { ...found, manifest: { ...found.manifest, mounts }, digest: `sha256:${each.repeat(64)}` };
  });
  const fate = fates[run.running?.[0] ?? ''] ?? 'never';
  const condition = {
    status: fate === 'good' ? 'True' : 'False',
    reason: fate === 'good' ? 'Running' : 'Exited',
  } as const;
  const conditions = [{ type: 'Ready' as const, ...condition, message: '', generation, lastTransition: '' }];
  const status = { phase: fate === 'bad' ? 'Failed' : 'Running', conditions } as unknown as ContainerStatus;
  const { kept } = run.device.directory;
  store.update((draft) => {
    draft.observed.packages = new Map([['app', packages]]) as typeof draft.observed.packages;
    draft.observed.kept = new Map(kept === null ? [] : [['app', kept]]);
    Object.assign(draft.status, { generation, observedGeneration: generation, containers: { app: status } });
  });
}

/** What is to be done about its data; nothing runs meanwhile. */
function dataSteps(run: Run, process: Process): readonly KeptDataStep[] {
  observe(run, process);
  const model = createModel({ autostart: false });
  model.update(process.store.get(), null);
  return planKeptData(model.view('app', run.now));
}

function isPending(run: Run, process: Process): boolean {
  return dataSteps(run, process).some(({ op }) => op !== 'keep-data');
}

/** The next instance begins, once its data is kept or back. */
async function replace(run: Run, process: Process, version: string): Promise<void> {
  const { onData, store } = process;
  for (let [step] = dataSteps(run, process); step !== undefined; [step] = dataSteps(run, process)) {
    if (step.op !== 'drop-data') run.running = null;
    try {
      await (dataActs[step.op] as (step: KeptDataStep, on: OnData) => Promise<void>)(step, onData);
    } catch (error) {
      run.unkept = messageOf(error);
      return;
    }
    run.trace.push(`  ${step.op} of ${step.version}`);
  }
  if (run.running === version) return;
  const { kept } = run.device.directory;
  if (kept !== null && !kept.touched && kept.version !== version)
    await onData((directory) => void (directory.kept = { ...kept, touched: true }));
  const record = store.get().trial?.record ?? null;
  const mark: Mark = { version, stays: !isUnderWay(record) };
  run.running = version;
  await onData((directory) => {
    directory.data = [...(directory.data ?? []), mark];
    if (mark.stays) run.staying.add(mark);
  });
}

type OnData = Process['onData'];

/** As controllers/kept-data/kept-data.ts goes, a call for each step on the disk. */
const dataActs: {
  readonly [O in KeptDataStep['op']]: (step: Extract<KeptDataStep, { op: O }>, on: OnData) => Promise<void>;
} = {
  async 'keep-data'({ version, confirmed }, onData) {
    await onData(() => undefined, true);
    await onData(
      (directory) => void (directory.kept = { version, confirmed, touched: false, data: directory.data }),
      true,
    );
  },
  async 'restore-data'(_, onData) {
    await onData((directory) => {
      if (directory.kept !== null && directory.kept.data !== null) directory.data = null;
    });
    await onData((directory) => {
      if (directory.kept === null || directory.kept.data === null) return;
      directory.data = directory.kept.data;
      directory.kept = { ...directory.kept, data: null };
    });
    await onData((directory) => void (directory.kept = null));
  },
  'drop-data': (_, onData) => onData((directory) => void (directory.kept = null)),
};

/** Lets everything come about that does without time passing; where the end comes meanwhile, the next process begins. */
async function rest(run: Run): Promise<void> {
  for (let turn = 0; turn < 12; turn++) {
    const { process, device } = run;
    if (process === null || run.broken !== null) return;
    await Promise.race([look(run, process), device.ended]);
    if (!device.dead()) process.driver.look();
    await new Promise((resolve) => setImmediate(resolve));
    if (device.dead()) {
      run.trace.push('the end comes');
      await start(run, run.random.chance(0.7));
      continue;
    }
    judge(run, process);
    if (process.driver.idle()) return;
  }
}

/** What must hold at every moment. */
function judge(run: Run, { store, core }: Process): void {
  const { trial, desired } = store.get();
  const version = desired.containers.get('app')?.version ?? 'none';
  const record = trial?.record ?? null;
  if (record?.state === 'confirmed') run.confirmed.add(version);
  if (!isUnderWay(record)) {
    if (fates[version[0] ?? ''] !== 'good' && !run.confirmed.has(version))
      breach(run, `${version} stays, and was never confirmed`);
    return;
  }
  if (record.state !== 'active') {
    const isOnTrial = core.written.desired.containers.get('app')?.version === desiredOf(run, record.generation);
    if (record.state === 'reverting' && isOnTrial && !run.confirmed.has(version))
      breach(run, `${version} is in force, and goes back`);
    return;
  }
  const boots = run.tried.get(`${record.confirmed}`) ?? new Set<number>();
  run.tried.set(`${record.confirmed}`, boots.add(run.device.boot));
  if (record.boots > record.terms.boots)
    breach(run, `boot ${record.boots} is of a trial that has ${record.terms.boots}`);
}

function desiredOf({ device }: Run, generation: number): string | null {
  return device.disk.generations.get(generation)?.desired.containers.get('app')?.version ?? null;
}

function breach(run: Run, what: string): void {
  run.broken ??= what;
  run.trace.push(`BROKEN: ${what}`);
}

async function happen(run: Run): Promise<void> {
  const { random, device } = run;
  const { process } = run;
  if (process === null) return;
  const what = random();
  if (random.chance(0.4)) device.cut = random.between(0, 25);
  if (what < 0.35) await bring(run, process, random.pick(['1', '2', '3', '4', '5']));
  else if (what < 0.45) {
    const version = random.pick(['1', '2', '3', '4']);
    run.trace.push(`the file is edited: ${version}`);
    device.file = documentOf(version);
    await until(run, () => process.enqueue(() => synchronise(process.core, process.file, true)));
  } else if (what < 0.6) {
    const at = process.deadline ?? run.now;
    run.now = random.chance(0.7) ? Math.max(run.now, at) : run.now + random.between(1, 3000);
    run.trace.push(`it is ${run.now}`);
  } else if (what < 0.7) {
    device.full = !device.full;
    run.trace.push(`the disk is ${device.full ? 'full' : 'not full any more'}`);
  } else if (what < 0.75) {
    device.fixed = !device.fixed;
    run.trace.push(`the file is ${device.fixed ? 'fixed' : 'not fixed any more'}`);
  } else if (what < 0.8) {
    const confirms = random.chance(0.3);
    run.trace.push(confirms ? 'somebody confirms' : 'somebody reverts');
    const record = process.store.get().trial?.record ?? null;
    if (confirms && record?.state === 'active')
      run.confirmed.add(process.store.get().desired.containers.get('app')?.version ?? '');
    const cause = { reason: 'Requested', message: 'somebody has asked for it', entries: [] } as const;
    await until(run, () => (confirms ? process.documents.confirm(null) : process.documents.revert(cause, null)));
  } else if (what < 0.83) {
    run.held = !run.held;
    run.trace.push(run.held ? 'a gate closes' : 'the gate opens');
  } else if (what < 0.86) {
    run.trace.push('a package arrives');
    run.installed.add(random.pick(['4', '5']));
  } else if (what < 0.89) {
    run.trace.push('five reconcilers have died on it');
    const { core, file } = process;
    const cause = { reason: 'ReconcilerDied', message: 'again', time: run.now, entries: [] } as const;
    const isTried = isUnderWay(core.trial) && core.trial.state !== 'reverting';
    run.givenUp ||= !isTried;
    await until(run, () => process.enqueue(() => (isTried ? beginRevert(core, file, cause) : giveUp(core))));
  } else {
    const reboot = random.chance(0.6);
    run.trace.push(reboot ? 'the device is started anew' : 'the process is killed');
    await start(run, reboot);
  }
  await rest(run);
}

async function bring(run: Run, process: Process, version: string): Promise<void> {
  run.trace.push(`apply: ${version}`);
  const { core, file, enqueue } = process;
  await until(run, () => enqueue(() => applyText(core, file, documentOf(version), { origin: 'sim' })));
}

/** Does something that may be refused, or in which the end comes. */
async function until(run: Run, act: () => Promise<unknown>): Promise<void> {
  await Promise.race([
    act().catch((error: unknown) => void run.trace.push(`  refused: ${messageOf(error)}`)),
    run.device.ended,
  ]);
}

/** Nothing fails any more: whatever is on trial comes to its end, and the device is what the one or the other says. */
async function calm(run: Run): Promise<void> {
  const { device } = run;
  Object.assign(device, { full: false, fixed: false });
  run.held = false;
  device.cut = null;
  run.trace.push('calm');
  for (const version of ['4', '5']) run.installed.add(version);
  if (run.random.chance(0.5)) await start(run, run.random.chance(0.5));
  for (let turn = 0; turn < 8 && run.broken === null; turn++) {
    device.cut = null;
    const { process } = run;
    if (process === null) {
      breach(run, 'there is no process');
      return;
    }
    const { core, file } = process;
    const settle = async (): Promise<void> => {
      await settleTrial(core);
      await carryOutRevert(core, file);
      if (core.quarantineLacks) await keepQuarantine(core, core.quarantine);
      await synchronise(core, file, true);
    };
    await until(run, () => process.enqueue(settle));
    await rest(run);
    if (process === run.process) run.now = Math.max(run.now, process.deadline ?? run.now) + 1;
  }
  if (run.broken !== null || run.process === null) return;
  const { store, core } = run.process;
  const { trial, desired, document } = store.get();
  const version = desired.containers.get('app')?.version ?? null;
  check(run, [
    [isUnderWay(trial?.record ?? null), `it is still ${trial?.record.state ?? ''}: ${trial?.waits ?? ''}`],
    [run.running !== version, `${run.running ?? 'nothing'} runs, and ${version ?? 'nothing'} is wanted`],
    [!run.confirmed.has(version ?? ''), `${version ?? 'nothing'} stays, and was never confirmed`],
    [
      document.status !== 'invalid' && core.besides === null && device.file !== core.text,
      'the file says something else than what is in force',
    ],
  ]);
  checkData(run);
  // The next boot finds the same.
  const before = version;
  await start(run, true);
  const after = versionOf(run);
  if (after !== before && !run.givenUp)
    breach(run, `another boot finds ${after ?? 'nothing'} instead of ${before ?? 'nothing'}`);
}

/** What has come since the data was kept goes with the trial. */
function condemn({ device, leaving }: Run): void {
  const { data, kept } = device.directory;
  if (kept?.touched !== true || kept.data === data) return;
  for (const mark of data ?? []) if (kept.data?.includes(mark) !== true) leaving.add(mark);
}

/** What was there before a trial is there, and nothing of one that was taken back. */
function checkData(run: Run): void {
  const { data, kept } = run.device.directory;
  const marks = new Set(data ?? []);
  const foreign = [...run.leaving].find((mark) => marks.has(mark));
  const lost = [...run.staying].find((mark) => !marks.has(mark));
  check(run, [
    [foreign !== undefined, `the data has a mark of ${foreign?.version ?? ''}, which was taken back`],
    [lost !== undefined, `the data has lost a mark of ${lost?.version ?? ''}`],
    [kept !== null, 'data is still kept'],
  ]);
}

/** The version that is wanted now. */
function versionOf({ process }: Run): string | null {
  return process?.store.get().desired.containers.get('app')?.version ?? null;
}

/** What is so and must not be. */
function check(run: Run, findings: readonly (readonly [boolean, string])[]): void {
  for (const [isSo, what] of findings) if (isSo) breach(run, what);
}
