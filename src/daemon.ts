// The reconciler: what it knows, what it does about it, and the doors to both are opened one after the other.
//
//   daemon.ts [--config FILE] [--desired FILE] [--state-dir DIR]
//
// as `northstate run` has the launcher start it; NORTHSTATE_LAUNCHER_FD is its socket. Bundled, it is one CommonJS file.
import { flushCompileCache } from 'node:module';
import { parseArgs } from 'node:util';
import { asFailure } from './cli/exit.ts';
import { checkedConfiguration } from './daemon/checked-configuration.ts';
import { memoryNow, prepareAhead } from './daemon/ahead-sandboxes.ts';
import { openBootPlans } from './daemon/boot-plans.ts';
import { createConsoles } from './daemon/consoles.ts';
import { openControllers } from './daemon/daemon-controllers.ts';
import { createDoors } from './daemon/daemon-doors.ts';
import { openState, type Daemon } from './daemon/daemon-state.ts';
import { openKeptValue } from './daemon/kept-value.ts';
import { followServiceStatus } from './daemon/service-status.ts';
import { endIfUnused } from './daemon/early-end.ts';
import { createRest, followSleep } from './daemon/sleep.ts';
import { recordWake } from './daemon/wakes.ts';
import { givePriorityBack } from '../native/priority.ts';
import { OtherWire } from '../native/wire/launcher.ts';
import { linkToLauncher } from './daemon/launcher-link.ts';
import { garbageCollector, spareMemory } from './daemon/spare-memory.ts';
import { openLog, type Log } from './logs/log.ts';
import { messageOf } from '../state/errno.ts';
import { inSlices } from '../state/in-slices.ts';
import { callInPlace } from '../state/file/in-place.ts';

// What ps and top show: the command line is long, and the same as that of any other Node.
process.title = 'northstate reconciler';

const { values: settings } = parseArgs({
  options: { config: { type: 'string' }, desired: { type: 'string' }, 'state-dir': { type: 'string' } },
});

/** What it has taken from the start of this process: ms, ms of the processor, switches to others by all threads. */
function spent(): { ms: number; cpu: number; switches: number } {
  const { userCPUTime, systemCPUTime, ...usage } = process.resourceUsage();
  const switches = usage.voluntaryContextSwitches + usage.involuntaryContextSwitches;
  return { ms: Math.round(process.uptime() * 1000), cpu: Math.round((userCPUTime + systemCPUTime) / 1000), switches };
}

/** Of a bundle, whether what was compiled before was of use (native/bundle-entry.cjs). */
const { compiledBefore } = globalThis as { readonly compiledBefore?: boolean };

/**
 * ms after it is ready in which files are still looked at in place, and nothing is done about memory: one that goes back to sleep at
 * once has no other thread, and what it was woken for is answered first.
 */
const adopting = 1000;
/** ms after it is ready until which what boots, and is not done, goes before other programs of the host. */
const booting = 5000;

/** This process is there to prove that it could go on from where another version is. */
const isProof = process.env['NORTHSTATE_PROOF'] !== undefined;

// What cannot be gone on from: the launcher starts this program anew, and nothing but it knew is lost.
let open: Log | null = null;
function die(error: unknown): never {
  if (open === null) process.stderr.write(`northstate: the reconciler cannot go on: ${messageOf(error)}\n`);
  else open.fatal({ err: error }, 'the reconciler cannot go on');
  process.exit(1);
}
process.on('unhandledRejection', die);
process.on('uncaughtException', die);

async function run(): Promise<never> {
  callInPlace(true);
  const link = await linkToLauncher(Number(process.env['NORTHSTATE_LAUNCHER_FD'] ?? 3), (error) => {
    if (isProof) process.exit(0);
    if (error !== null) die(error);
  }).catch(async (error: unknown) => {
    // Files were replaced under a launcher that has not been asked to give way yet.
    if (error instanceof OtherWire) await (await import('./reexec/supersede.ts')).supersede(error);
    throw error;
  });
  const { launcher, remembered } = link;
  // Whoever proves itself ends with its launcher, which has what it says.
  if (isProof) return await (await import('./reexec/proof.ts')).prove(link).then(() => process.exit(0));

  // A configuration that cannot be, or a host, ends the runtime.
  async function refuse(error: unknown): Promise<never> {
    const { message, hint, code } = asFailure(error);
    process.stderr.write(`northstate: ${message}${hint === null ? '' : ` (${hint})`}\n`);
    await launcher.stop(code);
    process.exit(code);
  }
  const { configuration: config, unkept } = await checkedConfiguration(settings, link).catch(refuse);
  const log = openLog(config.log);
  open = log;
  if (unkept !== null)
    log.info({ reason: unkept }, 'starts read the configuration each time: its summary cannot be kept');
  const { starts } = remembered.hello;
  log.info({ starts, attempts: remembered.attempts.length }, 'the reconciler has started');
  if (compiledBefore === false && starts === 1)
    log.info('each start compiles the reconciler: what was compiled before is not there, or for another Node');

  await endIfUnused({ link, runDir: config.runDir, log });
  const daemon: Daemon = { config, log, link, failed: die };
  const state = await openState(daemon);
  const { store, stand, documents, record, ending } = state;
  await endIfUnused({ link, runDir: config.runDir, log });
  const rest = createRest();
  const consoles = createConsoles({
    ...{ config, launcher, remembered, record, log, stand },
    ...{ connected: rest.stir, hold: rest.hold },
  });
  const openConsole = consoles.containers.open;
  const controllers = await openControllers({ ...daemon, state, openConsole });
  prepareAhead({
    ...{ store, reconciler: controllers.reconciler, view: controllers.containers.view, hold: rest.hold },
    ...{ after: (delay, task) => void setTimeout(task, delay), compute: inSlices, memory: memoryNow },
    failed: (err) => log.warn({ err }, 'no sandbox is made in advance'),
  });
  const boots = await openBootPlans({ ...daemon, state, controllers, settings, hold: rest.hold });
  const logged = openKeptValue<[number, number][]>(await state.memory('logged'));
  /** What the next process has to read anew otherwise. */
  const leave = (): void => {
    logged.set(doors.logged());
    state.changes.settle();
  };
  const doors = createDoors({
    ...daemon,
    state,
    controllers,
    consoles,
    boots,
    hold: rest.hold,
    held: rest.held,
    logged: logged.get() ?? [],
    ending: leave,
  });
  // It holds for the start after a sleep: what is logged from now on is not said before the next.
  logged.set([]);

  // From here on changes are followed, and clients are heard.
  await controllers.start();
  const { ending: begun } = record.get();
  if (begun !== null) ending.begin(begun);
  link.follow();
  await doors.open();
  const { generation, desired } = store.get();
  followServiceStatus(store, (text) => void launcher.status(text).catch(die));
  await launcher.ready(generation);
  log.info({ generation, containers: desired.containers.size, ...spent() }, 'ready');
  followSleep({
    ...{ link, store, rest, log, failed: die },
    after: recordWake({
      value: openKeptValue(await state.memory('wakes')),
      hello: remembered.hello,
      store,
      after: config.sleep.after,
    }),
    isIdle: () => record.get().ending === null && controllers.reconciler.idle() && controllers.trial.idle(),
    listening: consoles.listening,
    connections: consoles,
    logsOutput: doors.logsOutput,
    ending: leave,
  });
  const endBoot = controllers.reconciler.onSettled(pace);
  const late = setTimeout(pace, booting).unref();
  function pace(): void {
    endBoot();
    clearTimeout(late);
    givePriorityBack((error) =>
      log.warn({ err: error }, 'goes on with a part of the priority that it had for the boot'),
    );
  }
  let endSparing = (): void => undefined;
  setTimeout(() => {
    callInPlace(false);
    endSparing = spareMemory({ collect: garbageCollector(), resident: () => process.memoryUsage.rss() });
  }, adopting).unref();
  // A process that is killed keeps nothing: what was compiled of the sources is stored now, once, for the next one.
  if (compiledBefore === undefined) flushCompileCache();

  const left = await controllers.stopped;
  if (left.length > 0) log.error({ containers: left }, 'could not be taken down');
  controllers.reconciler.close();
  await boots.leave();
  await doors.close();
  await controllers.close();
  endSparing();
  await documents.close();
  const status = ending.status();
  await launcher.stop(status);
  log.info({ status }, 'ended');
  process.exit(0);
}

void run();
