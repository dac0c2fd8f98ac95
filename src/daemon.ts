// The reconciler: everything is wired here, in the order in which it begins.
//
//   daemon.ts --configuration JSON      as `northstate run` has the launcher start it; NORTHSTATE_LAUNCHER_FD is its socket
import { flushCompileCache } from 'node:module';
import { parseArgs } from 'node:util';
import { act as actOnContainer, signalExactly, type ContainerPorts } from '../controllers/containers/containers-act.ts';
import { detectHierarchies } from '../controllers/cgroups/cgroup-hierarchies.ts';
import { createCgroups } from '../controllers/cgroups/cgroups.ts';
import { plan as planContainers } from '../controllers/containers/containers-plan.ts';
import { createMemoryFiles } from '../controllers/repositories/memory-files.ts';
import { createMounts } from '../controllers/mounts/mounts.ts';
import { createReconciler, type Reconciler } from '../controllers/reconcile/reconciler.ts';
import { createRepositories } from '../controllers/repositories/repositories.ts';
import { sweepPersist } from '../controllers/sandbox/persist.ts';
import { createSandboxes } from '../controllers/sandbox/sandbox-open.ts';
import { createDescriptors } from '../controllers/sandbox/start-descriptors.ts';
import { bootId, bootTime } from '../native/clock.ts';
import { hasSelinux } from '../native/selinux.ts';
import { createStanding } from '../state/standing.ts';
import { createStore, toJson } from '../state/store.ts';
import { createAttempts } from '../controllers/containers/attempts.ts';
import { configurationFromArgument } from './config/configuration.ts';
import { createContainerLog, styleOf } from './logs/container-log.ts';
import { claimGroups } from './daemon/claim-groups.ts';
import { createConsoles, tokenKeyOf } from './daemon/consoles.ts';
import { createDebugCommands } from './daemon/debug-commands.ts';
import { openDocumentInForce } from './daemon/document-in-force.ts';
import { createGroupWatch } from '../controllers/cgroups/cgroups-watch.ts';
import { decodeGlobal, encodeGlobal, type GlobalRecord } from './daemon/global-record.ts';
import { kernelFacts } from './report/kernel-facts.ts';
import { createEvents, createRuntime } from './runtime/live-runtime.ts';
import { linkToLauncher } from './daemon/launcher-link.ts';
import { openLog } from './logs/log.ts';
import { createLogs } from './logs/container-output.ts';
import { createMountWatch, mountTableKey, watchMountTable } from '../controllers/mounts/mounts-watch.ts';
import { openNotes } from '../controllers/containers/run-notes.ts';
import { createObserving } from '../controllers/observing.ts';
import { createPackages } from '../controllers/repositories/package-reader.ts';
import { createParts } from '../controllers/reconcile/parts.ts';
import { createRepositoryWatch, ueventsKey } from '../controllers/repositories/repositories-watch.ts';
import { createReporter } from './report/support-report.ts';
import type { Runtime } from './runtime/runtime.ts';
import { openTold } from '../controllers/containers/told.ts';

/** Bytes that the launcher keeps of each container's output. */
const outputSize = 64 * 1024;

const { values } = parseArgs({ options: { configuration: { type: 'string' } } });
const config = configurationFromArgument(values.configuration ?? '{}');
const { runDir, dataDir, socketDir } = config;
const log = openLog(config.log);
const store = createStore();
const observing = createObserving(store);
const stand = createStanding(store, log);
const events = createEvents(bootTime);

// What cannot be gone on from: the launcher starts this program anew, and nothing but it knew is lost.
function die(error: unknown): never {
  log.fatal({ err: error }, 'the reconciler cannot go on');
  process.exit(1);
}
process.on('unhandledRejection', die);
process.on('uncaughtException', die);

// The launcher, and everything that it remembers.
const launcherFd = Number(process.env['NORTHSTATE_LAUNCHER_FD'] ?? 3);
const { launcher, remembered, follow } = await linkToLauncher(launcherFd, (error) => {
  if (error !== null) die(error);
});
const { hello } = remembered;
let global = decodeGlobal(remembered.global);
log.info({ starts: hello.starts, attempts: remembered.attempts.length }, 'the reconciler has started');

const boot = bootId();
const documents = await openDocumentInForce({ config, store, log, stand, boot, launcher, hello, failed: die });

// What the kernel, the repositories and the launcher show.
const { openReader, verifyImage } = createPackages();
const repositories = createRepositories({
  entries: store.get().desired.repositories,
  cacheFile: `${runDir}/packages.json`,
  openReader,
  memory: createMemoryFiles(launcher, remembered.descriptors),
  onChange(names) {
    // First what is mounted: a file that was written to is no package any more, and its container must know why.
    repositoryWatch.look(names);
    observing.packages(repositories.current(), names);
  },
  stand,
  log,
});
const mounts = createMounts({ runDir, log, verifyImage, loopTimeout: config.loopTimeout });
const hierarchies = await detectHierarchies();
const cgroups = createCgroups({
  hierarchies,
  root: config.cgroup,
  owner: config.stateDir,
  placesFile: `${runDir}/cgroups.json`,
  log,
});
await claimGroups({ cgroups, launcher, remembered, stateDir: config.stateDir, log });
const mountWatch = createMountWatch({ mounts, observing, launcher, failed: die });
await watchMountTable(launcher);
const watched = { store, mounts, repositories, observing, launcher, log };
const repositoryWatch = createRepositoryWatch({ ...watched, tell: events.tell, failed: die });
await mounts.sweep();
const [packages, mounted] = await Promise.all([repositories.observe(), mounts.observe()]);
observing.packages(packages, null);
observing.mounts(mounted);
observing.cgroups(cgroups.observe());

const told = await openTold(remembered.descriptors, launcher);
const attempts = createAttempts(remembered.attempts, { store, observing, tell: (event) => events.tell(event), told });
const notes = openNotes(runDir, boot, hello.startedAt, (path, err) =>
  log.warn({ path, err }, 'a note of what has run cannot be read: that container may run once more'),
);
store.update((draft) => {
  for (const [name, ran] of notes.ran) draft.observed.ran.set(name, ran);
});

// What is done about the difference.
const tokenKey = tokenKeyOf(global, remember);
// What patches need takes a while to load: it is there by the time that a client has said what it wants.
const connected = (): void => void documents.warm().catch(die);
const consoles = createConsoles({ config, launcher, remembered, tokenKey, log, connected });
const descriptors = createDescriptors({ socketDir, console: consoles.containers.open, log });
descriptors.sweep(null);
sweepPersist(dataDir).catch((err: unknown) =>
  log.warn({ directory: dataDir, err }, 'what an interrupted wipe has left cannot be removed'),
);
const sandboxes = createSandboxes({
  dataDir,
  socketDir,
  outputSize,
  leaf: (...of) => cgroups.leaf(...of),
  limits: (name, section) => cgroups.limits(name, section),
  descriptors,
  selinux: hasSelinux(),
  log,
});
const containerPorts: ContainerPorts = {
  launcher,
  sandboxes,
  now: bootTime,
  view: (name) => reconciler.view(name),
  nextId: () => attempts.nextId(),
  observe: (attempt) => attempts.observe(attempt),
  forgotten(name, id) {
    attempts.forgotten(name, id);
    descriptors.sweep(name);
  },
  note(name, ran) {
    notes.set(name, ran);
    store.observe('ran', name, ran ?? undefined);
  },
};
const wallClock = (at: number): string => new Date(Date.now() - bootTime() + at).toISOString();
const reconciler: Reconciler = createReconciler({
  store,
  clock: { now: bootTime, setDeadline: (at) => void launcher.deadline(at).catch(die) },
  random: Math.random,
  defer(task, delay) {
    if (delay === 0) setImmediate(task);
    else setTimeout(task, delay);
  },
  parts: createParts({
    repositories,
    mounts,
    cgroups,
    mountWatch,
    observing,
    containers: { plan: planContainers, act: (step) => actOnContainer(step, containerPorts) },
  }),
  setLock: (key, locked) => documents.setLock(key, locked),
  autostart: !global.autostartDone,
  autostartDone: () => remember({ autostartDone: true }),
  wallClock,
  critical(name, message) {
    log.error({ container: name, reason: message }, 'critical container failed');
    shutdown(1);
  },
  acted(step, failure) {
    const { op, name } = step;
    if (failure === null) log.debug({ op, container: name }, 'step performed');
    else
      log.warn(
        { op, container: name, reason: failure.reason, error: failure.message, count: failure.count },
        'step failed',
      );
  },
  stopped: (left) => void end(left).catch(die),
});

const containerLog = createContainerLog(log, bootTime, (name, stream) => styleOf(store.get().observed, name, stream));
const logs = createLogs({
  launcher,
  containerLog,
  earlier: new Map(remembered.attempts.map(({ id, output }) => [id, output.end])),
  outputs: (name) => attempts.outputs(name),
  nameOf: (id) => attempts.nameOf(id),
  failed: (error) => log.warn({ err: error }, 'output could not be read'),
});

const groupWatch = createGroupWatch({
  ...{ store, cgroups, observing, launcher, log },
  view: (name) => reconciler.view(name),
  tell: events.tell,
  failed: die,
});

const debugCommands = createDebugCommands({
  commands: config.debug.commands,
  log,
  remembered: remembered.attempts,
  launcher: hello.pid,
});

/** The exit status, once the runtime is to end. */
let status: number | null = null;

// From here on changes are followed.
await repositoryWatch.follow();
reconciler.start();
groupWatch.follow();
if (global.ending !== null) shutdown(global.ending);
follow({
  attempt(attempt) {
    if (attempt.state === 'exited' || attempt.state === 'failed') descriptors.sweep(attempt.name);
    groupWatch.seen(attempt);
    attempts.seen(attempt);
    debugCommands.seen(attempt);
    if (attempt.state === 'exited' || attempt.state === 'failed') consoles.containers.ended(attempt.id);
    logs.changed(attempt.name);
  },
  output(id, begin, end) {
    attempts.grown(id, begin, end);
    logs.arrived(id);
  },
  watch(key) {
    if (key === mountTableKey) mountWatch.fired();
    else if (key === ueventsKey) repositoryWatch.fired();
    else if (!consoles.containers.fired(key)) groupWatch.fired(key);
  },
  deadline: () => reconciler.due(),
  terminate(signal) {
    log.info({ signal }, 'asked to end');
    shutdown(0);
  },
});

// Whoever wants to see or change something.
const runtime: Runtime = createRuntime({
  store,
  documents,
  reconciler,
  repositories,
  observing,
  logs,
  dataDir,
  events,
  boot,
  now: bootTime,
  report: createReporter({
    ...{ runDir, boot, kernel: kernelFacts },
    state: () => store.get(),
    history: () => documents.history(),
    events: () => events.past.all(),
    explain: (key) => runtime.explain(key),
    document: () => toJson(documents.current().effective),
    logs: (name, options) => logs.lines(name, options),
  }),
  signals: {
    signalExactly: (attempt, signal) => signalExactly(attempt, signal, containerPorts),
    deliver: (attempt, signal) => launcher.kill(attempt.id, signal),
    observe: (attempt) => attempts.observe(attempt),
  },
  plan: async (text) =>
    (await import('./runtime/plan-document.ts')).planDocument(text, { store, documents, hierarchies, now: bootTime }),
  usage: (name) => cgroups.usage(name),
  shutdown: () => shutdown(0),
});
consoles.adopt(runtime);
attempts.tellMissed();
await consoles.open(runtime);
await launcher.ready(store.get().generation);
log.info({ generation: store.get().generation, containers: store.get().desired.containers.size }, 'ready');
// A process that is killed keeps nothing: what was compiled for this start is stored now, once, for the next one.
flushCompileCache();

/** Stops every container in order, then ends the runtime with an exit status. */
function shutdown(code: number): void {
  if (status !== null) return;
  status = code;
  remember({ ending: code });
  events.tell({ type: 'shutdown' });
  reconciler.stop();
}

/** Has the launcher keep it for whoever comes after this process. */
function remember(change: Partial<GlobalRecord>): void {
  global = { ...global, ...change };
  launcher.record(0, encodeGlobal(global)).catch(die);
}

async function end(left: readonly string[]): Promise<void> {
  if (left.length > 0) log.error({ containers: left }, 'could not be taken down');
  reconciler.close();
  debugCommands.close();
  await consoles.close();
  await repositories.close();
  await documents.close();
  descriptors.sweep(null);
  await cgroups.removeRoot();
  await launcher.stop(status ?? 0);
  log.info({ status: status ?? 0 }, 'ended');
  process.exit(0);
}
