// What is done about the difference between what is asked for and what there is: the controllers, and the reconciler over them.
import { setTimeout as delay } from 'node:timers/promises';
import type { Hierarchies } from '../../controllers/cgroups/cgroup-hierarchies.ts';
import { createGroupWatch } from '../../controllers/cgroups/cgroups-watch.ts';
import { cgroupsPart, createCgroups, type Cgroups } from '../../controllers/cgroups/cgroups.ts';
import { createAttempts, type Attempts } from '../../controllers/containers/containers-observe.ts';
import { containersPart, type ContainerPorts } from '../../controllers/containers/containers-act.ts';
import { endBound } from '../../controllers/containers/end-bound.ts';
import { followLockFiles, type LockFiles } from '../../controllers/containers/lock-files.ts';
import { followLacking, type LackingWatch } from '../../controllers/containers/lacking-watch.ts';
import { openNotes } from '../../controllers/containers/run-notes.ts';
import { createMountWatch, watchMountTable } from '../../controllers/mounts/mounts-watch.ts';
import { createMounts, mountsPart } from '../../controllers/mounts/mounts.ts';
import type { Step } from '../../controllers/controller.ts';
import { createMissingPaths } from '../../controllers/missing-paths.ts';
import { createModel } from '../../controllers/reconcile/model.ts';
import { createReconciler, type Reconciler } from '../../controllers/reconcile/reconciler.ts';
import type { TrialDriver } from '../../controllers/trial/trial-driver.ts';
import { clockKey } from './wall-clock.ts';
import { createDeadlines } from './deadlines.ts';
import { createMemoryFiles } from '../../controllers/repositories/memory-files.ts';
import type { OpenRemote } from '../../controllers/repositories/repositories-act.ts';
import { createPackages } from '../../controllers/repositories/package-reader.ts';
import { createRepositoryWatch } from '../../controllers/repositories/repositories-watch.ts';
import {
  createRepositories,
  repositoriesPart,
  type Repositories,
} from '../../controllers/repositories/repositories.ts';
import { createKeptData, readKeptData, sweepKeptData } from '../../controllers/kept-data/kept-data.ts';
import { sweepPersist } from '../../controllers/sandbox/persist.ts';
import { schedulesPart } from '../../controllers/schedules/schedules.ts';
import { createSandboxes } from '../../controllers/sandbox/sandbox-open.ts';
import { createDescriptors, socketDirMode, type DescriptorPorts } from '../../controllers/sandbox/start-descriptors.ts';
import { bootTime } from '../../native/clock.ts';
import { hasSelinux } from '../../native/selinux.ts';
import { untilRead } from '../../state/retry.ts';
import { createRemotes } from '../fetch/remotes.ts';
import type { PlanPorts } from '../boot/unit-deeds.ts';
import { earlierContents } from './earlier-contents.ts';
import { claimGroups, favourGroups } from './claim-groups.ts';
import { keptFailures } from './kept-failures.ts';
import { openScheduleRecords } from './schedule-records.ts';
import { openKeptValue } from './kept-value.ts';
import type { Daemon, DaemonState } from './daemon-state.ts';
import { detectHierarchies } from '../../controllers/cgroups/cgroups-observe.ts';
import { onlyPlanned } from './only-planned.ts';
import { openRefusals } from './open-refusals.ts';
import { openTrial } from './open-trial.ts';
import { keepRuntimeFiles } from './runtime-files.ts';
import { noteBoot } from '../boot/boot-note.ts';
import { dropPlan } from '../boot/plan-file.ts';
import { launcherProgram } from '../installation.ts';

/** ms that most replacements take from the signal to the next one's first instruction, where the application ends at once. */
const GOING = 2;

/** Bytes that the launcher keeps of each container's output. */
const outputSize = 64 * 1024;

export interface Controllers {
  readonly hierarchies: Hierarchies;
  readonly repositories: Repositories;
  readonly openRemote: OpenRemote;
  readonly cgroups: Cgroups;
  readonly attempts: Attempts;
  readonly containers: ContainerPorts;
  /** What a boot plan is made with. */
  readonly boot: Omit<PlanPorts, 'before'>;
  readonly reconciler: Reconciler;
  readonly trial: TrialDriver;
  /** Gives up what is kept of a name's persistent data. */
  dropKept(name: string): Promise<void>;
  /** Changes are followed from now on. */
  start(): Promise<void>;
  /** Resolves when everything that was to be stopped is down, with the names of what could not be taken down. */
  readonly stopped: Promise<readonly string[]>;
  /** After that. */
  close(): Promise<void>;
}

export interface ControllersPorts extends Daemon {
  readonly state: DaemonState;
  /** Makes a console for a container that is started. */
  readonly openConsole: DescriptorPorts['console'];
  /** Everything is looked at and nothing is done: `config` is of copies, these are where mounts and groups really are. */
  readonly proof?: {
    readonly runDir: string;
    readonly owner: string;
    /** Told of each step that would be performed. */
    readonly would: (step: Step) => void;
  };
}

/** Looks at everything once; nothing is done before `start`. */
export async function openControllers(ports: ControllersPorts): Promise<Controllers> {
  const { config, log, link, failed, state, proof } = ports;
  const { runDir, dataDir, socketDir, stateDir } = config;
  const { launcher, remembered } = link;
  const { store, stand, clock, observing, events, told, documents, record, ending } = state;
  const { tell } = events;
  const model = createModel({ autostart: !record.get().autostartDone });
  const view: ContainerPorts['view'] = (name) => model.view(name, bootTime());

  const contents = proof === undefined ? earlierContents(config, { log }) : null;
  const { openReader, verifyImage } = createPackages(contents);
  const memory = createMemoryFiles(launcher, remembered.descriptors);
  const { repositories: entries } = store.get().desired;
  const openRemote = createRemotes(config.fetch);
  /** What holds up installations that are under way. */
  const held = new Map<string, string>();
  const repositories = createRepositories({
    entries,
    cacheFile: `${runDir}/packages.json`,
    contents,
    openReader,
    memory,
    openRemote,
    held(name, why) {
      if (why === null ? !held.delete(name) : held.get(name) === why) return;
      if (why !== null) held.set(name, why);
      trial.look();
    },
    stand,
    log,
  });
  const mounts = createMounts({
    runDir: proof?.runDir ?? runDir,
    looksOnly: proof !== undefined,
    log,
    verifyImage,
    loopTimeout: config.loopTimeout,
  });
  // Without these nothing can be begun; whoever runs meanwhile runs on.
  const reading = <T>(read: () => Promise<T> | T): Promise<T> =>
    untilRead(read, (err) => log.warn({ err }, 'what the kernel shows cannot be read; it is read again'));
  const hierarchies = await reading(() => detectHierarchies(config.pids < 0 ? null : config.pids));
  const placesFile = `${runDir}/cgroups.json`;
  const { cgroup: root, accounting } = config;
  const cgroups = createCgroups({ hierarchies, root, owner: proof?.owner ?? stateDir, placesFile, accounting, log });
  if (proof === undefined) {
    await claimGroups({ cgroups, launcher, remembered, stateDir, log });
    void favourGroups({ hierarchies, launcher, remembered, log });
  }

  const watched = { store, observing, launcher, log, tell, failed };
  const unwatchable = (err: unknown): void => log.warn({ err }, 'what is missing on the host cannot be waited for');
  const unseen = (path: string, why: string | null): void => stand('NotWatched', path, why);
  const missing = createMissingPaths({
    look: (name) => reconciler.look([name]),
    blind: unseen,
    failed: unwatchable,
  });
  let lacking: LackingWatch | null = null;
  let lockFiles: LockFiles | null = null;
  const changed = (): void => {
    repositories.follow();
    documents.follow();
    missing.look();
    lacking?.look();
  };
  const mountWatch = createMountWatch({ observe: mounts.observe, changed, stand, ...watched });
  await reading(() => watchMountTable(launcher));
  const repositoryWatch = createRepositoryWatch({ mounts, repositories, ...watched });
  const groupWatch = createGroupWatch({ cgroups, view, told, ...watched });
  if (proof === undefined) await reading(mounts.sweep);
  const [packages, mounted] = await Promise.all([repositories.observe(), reading(mounts.observe)]);
  observing.packages(packages, null);
  observing.mounts(mounted);
  observing.cgroups(cgroups.observe());

  const attempts = createAttempts(remembered.attempts, {
    ...{ store, observing, tell, told },
    lookAtGroups: (name) => observing.cgroup(name, cgroups.observeOne(name)),
    lingers(name, id) {
      const steps = cgroups.plan(view(name));
      return steps.some((step) => step.op === 'remove-group' || (step.op === 'remove-leaf' && step.attempt === id));
    },
  });
  const notes = openNotes(runDir, state.boot, remembered.hello.startedAt, (path, err) =>
    log.warn({ path, err }, 'a note of what has run cannot be read: that container may run once more'),
  );
  const schedules = openScheduleRecords({
    ...{ stateDir, stand, kept: openKeptValue(await state.memory('schedules')) },
    failed: (path, err) => log.warn({ path, err }, 'what is remembered of a schedule cannot be read: it begins anew'),
  });
  store.update(({ observed }) => {
    for (const [name, ran] of notes.ran) observed.ran.set(name, ran);
    for (const [name, record] of schedules.earlier) observed.schedules.set(name, record);
  });
  const descriptors = createDescriptors({ socketDir, console: ports.openConsole, log });
  if (proof === undefined) descriptors.sweep(null);
  const unremoved = (err: unknown): void =>
    log.warn({ directory: dataDir, err }, 'what an interrupted wipe or copy has left cannot be removed');
  const keptData = createKeptData({
    ...{ dataDir, program: launcherProgram(), bounds: config.snapshot, tell, failed: unremoved },
    // A plan that cannot be taken away costs a start: what it has started is stopped, and started again on its own data.
    forgetBoot: () => dropPlan(stateDir).catch(unremoved),
    observe: (name, value) => store.observe('kept', name, value ?? undefined),
  });
  const { kept, left } = await readKeptData(dataDir, (path, err) =>
    log.error({ path, err }, 'what is kept of persistent data cannot be read'),
  );
  if (proof === undefined) Promise.all([sweepPersist(dataDir), sweepKeptData(dataDir, left)]).catch(unremoved);
  store.update(({ observed }) => {
    for (const [name, value] of kept) observed.kept.set(name, value);
  });
  const { leaf, joinLeaf, limits } = cgroups;
  const selinux = hasSelinux();
  const sandboxes = createSandboxes({
    dataDir,
    socketDir,
    outputSize,
    leaf,
    joinLeaf,
    limits,
    descriptors,
    selinux,
    log,
  });
  const containers: ContainerPorts = {
    launcher,
    sandboxes,
    now: bootTime,
    view,
    nextId: attempts.nextId,
    observe: attempts.observe,
    soon: observing.soon,
    gone: () => delay(GOING),
    forgotten(name, id) {
      attempts.forgotten(name, id);
      descriptors.sweep(name);
    },
    async thaw(name, id) {
      if (await cgroups.thaw(name, id)) observing.cgroup(name, cgroups.observeOne(name));
    },
    note(name, ran) {
      notes.set(name, ran);
      store.observe('ran', name, ran ?? undefined);
    },
    ahead(name, said) {
      store.update(({ ahead }) => {
        if (said === null) ahead.delete(name);
        else ahead.set(name, said);
      });
    },
    touch: keptData.touch,
  };

  const deadlines = createDeadlines((at) => void launcher.deadline(at).catch(failed));
  const stopped = Promise.withResolvers<readonly string[]>();
  const reconciler: Reconciler = createReconciler({
    store,
    clock: { now: bootTime, setDeadline: deadlines.of() },
    random: Math.random,
    defer(task, delay) {
      if (delay === 0) setImmediate(task);
      else setTimeout(task, delay);
    },
    model,
    parts: [
      schedulesPart({
        view,
        keep: schedules.keep,
        observe: (name, record) => store.observe('schedules', name, record ?? undefined),
        random: Math.random,
        cron: async () => (await import('../../state/schema/cron.ts')).cronAfter,
      }),
      missing.around(repositoriesPart(repositories, observing)),
      mountsPart(mounts, mountWatch, observing),
      cgroupsPart(cgroups, observing, attempts.groupChanged),
      keptData.part,
      missing.around(containersPart(containers, (name) => observing.cgroup(name, cgroups.observeOne(name)))),
    ].map((part) => (proof === undefined ? part : onlyPlanned(part, proof.would))),
    watched: state.changes.isFollowed,
    held(name) {
      const why = held.get(name);
      return why === undefined ? null : { op: 'install', why };
    },
    kept: keptFailures(openKeptValue(await state.memory('failures'))),
    setLock: documents.setLock,
    autostart: !record.get().autostartDone,
    autostartDone: () => record.set({ autostartDone: true }),
    wallClock: clock.text,
    critical(name, message) {
      log.error({ container: name, reason: message }, 'critical container failed');
      ending.begin(1);
    },
    acted({ op, name }, failure) {
      if (failure === null) {
        log.debug({ op, container: name }, 'step performed');
        return;
      }
      const { reason, message, count } = failure;
      log.warn({ op, container: name, reason, error: message, count }, 'step failed');
    },
    stopped(left) {
      attempts.tellAll();
      stopped.resolve(left);
    },
  });

  ending.onBegin(() => {
    observing.many();
    attempts.many();
    reconciler.stop();
    launcher.ending(endBound(model.names(), view)).catch(failed);
  });
  // Its end may come before its alarm: the groups are looked at while it is still observed as it was.
  attempts.listen({ before: groupWatch.seen });
  attempts.listen({
    after({ name, state: now }) {
      if (now === 'exited' || now === 'failed') descriptors.sweep(name);
    },
  });
  const refusals = openRefusals({ store, attempts, launcher, clock, log });
  attempts.listen({ after: refusals.seen });
  const { gate, trial } = openTrial({
    ...{ config, log, state, reconciler, deadlines, blind: unseen, failed: unwatchable },
    launcher: remembered.hello.pid,
  });
  link.listen({
    attempt: attempts.seen,
    output(id, begin, end) {
      attempts.settle();
      attempts.grown(id, begin, end);
    },
    deadline() {
      attempts.settle();
      deadlines.fired();
      reconciler.due();
      trial.look();
    },
  });
  for (const watch of [mountWatch, repositoryWatch, groupWatch]) link.listen({ watch: watch.fired });

  /** By name in runDir. */
  const files = new Map<string, () => Promise<void> | void>([
    ['boot', () => noteBoot(runDir, state.boot)],
    ['packages.json', repositories.restore],
    ['cgroups.json', cgroups.restore],
    ['overlay.json', documents.restore],
  ]);
  const keptFiles = [
    {
      path: runDir,
      async restore(name: string | null) {
        for (const [file, restore] of files) if (name === null || name === file) await restore();
      },
    },
    { path: socketDir, mode: socketDirMode, restore: () => undefined },
    { path: notes.directory, restore: notes.restore },
  ];
  let runtimeFiles: { close(): void } | null = null;

  return {
    ...{ hierarchies, repositories, openRemote, cgroups, attempts, containers, reconciler, trial },
    dropKept: keptData.drop,
    stopped: stopped.promise,
    boot: {
      ...{ dataDir, socketDir, outputSize, selinux, hierarchies, runDir },
      ...{ groups: cgroups.boot.groups, roots: cgroups.boot.roots, mountsDir: mounts.directory, pathOf: mounts.pathOf },
    },
    async start() {
      const clockWatch = await clock.follow(store, launcher, failed);
      link.listen({ watch: clockWatch.fired });
      // A time of day may have come with the clock.
      link.listen({
        watch(key) {
          if (key === clockKey) trial.look();
        },
      });
      await repositoryWatch.follow();
      reconciler.start();
      trial.look();
      remembered.attempts.forEach(refusals.seen);
      groupWatch.follow();
      lockFiles = followLockFiles({
        ...{ store, observe: attempts.observe, now: bootTime, wallClock: Date.now, blind: unseen, failed: unwatchable },
        record: (id, bytes) => launcher.record(id, bytes),
      });
      lacking = followLacking({ store, observe: attempts.observe, blind: unseen, failed: unwatchable });
      runtimeFiles = keepRuntimeFiles(keptFiles, { log, stand });
    },
    async close() {
      gate.close();
      runtimeFiles?.close();
      trial.close();
      mountWatch.close();
      reconciler.close();
      missing.close();
      lacking?.close();
      lockFiles?.close();
      await repositories.close();
      descriptors.sweep(null);
      await cgroups.removeRoot();
    },
  };
}
