// A process of the runtime in the simulation of trials: what it finds on the device's disk, and the driver of its trial.
import { createTrialDriver, type TrialDriver } from '../../controllers/trial/trial-driver.ts';
import type { Outcome } from '../../controllers/trial/trial-health.ts';
import { stagedNames, stagedTargets } from '../../controllers/reconcile/staged-targets.ts';
import { anybody } from '../../state/document/admission.ts';
import { openCore } from '../../state/document/open-core.ts';
import type { Core } from '../../state/document/core.ts';
import { openGenerations } from '../../state/document/generations.ts';
import { carryOutRevert } from '../../state/document/revert-document.ts';
import { synchronise, type FileOptions } from '../../state/document/synchronise.ts';
import { createTrialDocuments, type TrialDocuments } from '../../state/document/trial-documents.ts';
import { messageOf } from '../../state/errno.ts';
import { createStore, type Store } from '../../state/store.ts';
import { quarantineFile } from '../../state/trial/quarantine.ts';
import type { TrialTerms } from '../../state/trial/terms.ts';
import { trialFile } from '../../state/trial/trial-file.ts';
import { createSerialQueue } from '../../state/serial-queue.ts';
import { type Random } from './random.ts';
import { type Mark, type TrialDevice } from './trial-device.ts';

/** How a version fares: it is ready at once, ends for good, or never comes to be ready. */
type Fate = 'good' | 'bad' | 'never';

const terms: TrialTerms = { confirm: 'health', soak: 1000, within: 10_000, boots: 2 };
export const fates: Readonly<Record<string, Fate>> = { '1': 'good', '2': 'bad', '3': 'never', '4': 'good', '5': 'bad' };

export interface Process {
  readonly store: Store;
  readonly core: Core;
  readonly documents: TrialDocuments;
  readonly driver: TrialDriver;
  readonly onData: ReturnType<TrialDevice['ports']>['onData'];
  readonly enqueue: <T>(work: () => Promise<T>) => Promise<T>;
  readonly file: FileOptions;
  deadline: number | null;
}

export interface Run {
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

export const documentOf = (version: string): string =>
  `apiVersion: northstate/v1\ncontainers: { app: { version: ${version}.0.0, persist: { snapshot: true } } }\n`;

/** Begins one; the end may come at each call on the disk. */
export async function openProcess(run: Run): Promise<Process> {
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

/** Says once what must not be. */
export function breach(run: Run, what: string): void {
  run.broken ??= what;
  run.trace.push(`BROKEN: ${what}`);
}

/** What has come since the data was kept goes with the trial. */
function condemn({ device, leaving }: Run): void {
  const { data, kept } = device.directory;
  if (kept?.touched !== true || kept.data === data) return;
  for (const mark of data ?? []) if (kept.data?.includes(mark) !== true) leaving.add(mark);
}
