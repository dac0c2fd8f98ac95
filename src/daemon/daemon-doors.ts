// Whoever wants to see or change something comes through here: consoles, logs, reports, and commands that look at containers.
import { signalExactly } from '../../controllers/containers/containers-act.ts';
import { bootTime } from '../../native/clock.ts';
import { toJson } from '../../state/store.ts';
import { createContainerLog, styleOf } from '../logs/container-log.ts';
import { logsToJournal } from '../logs/log.ts';
import { createLogs, type Logs } from '../logs/container-output.ts';
import { kernelFacts } from '../report/kernel-facts.ts';
import { createReporter } from '../report/support-report.ts';
import { hasSelinux } from '../../native/selinux.ts';
import { createSessions } from '../sessions/sessions.ts';
import { createRuntime } from '../runtime/live-runtime.ts';
import { spendEntries } from '../runtime/spending.ts';
import type { Runtime } from '../runtime/runtime.ts';
import { createThreshold } from '../runtime/threshold.ts';
import type { BootPlans } from './boot-plans.ts';
import type { Consoles } from './consoles.ts';
import type { Controllers } from './daemon-controllers.ts';
import type { Daemon, DaemonState } from './daemon-state.ts';
import { createDebugCommands } from './debug-commands.ts';
import { factsPorts } from './facts-ports.ts';

export interface Doors {
  /** Consoles listen from now on; what nobody was there to tell has been told. Rejects when a listener cannot be opened. */
  open(): Promise<void>;
  /** How far the output of each attempt is in our own log. */
  readonly logged: Logs['positions'];
  /** What containers write is put there. */
  readonly logsOutput: boolean;
  close(): Promise<void>;
}

export interface DoorsPorts extends Daemon {
  readonly state: DaemonState;
  readonly controllers: Controllers;
  readonly consoles: Consoles;
  readonly boots: Pick<BootPlans, 'facts'>;
  /** Says that something is under way that must not be interrupted; gives the function that says that it is over. */
  readonly hold: () => () => void;
  /** How much of that is. */
  readonly held: () => number;
  /** Called right before another runtime takes over. */
  readonly ending: () => void;
  /** How far the output of attempts was in our own log when the last process went to sleep; [] after a crash. */
  readonly logged: readonly (readonly [id: number, offset: number])[];
}

export function createDoors({
  config,
  log,
  link,
  state,
  controllers,
  consoles,
  boots,
  hold,
  held,
  logged,
  ending: beforeEnd,
}: DoorsPorts): Doors {
  const { launcher, remembered } = link;
  const { store, events, changes, documents, observing, boot, ending } = state;
  const { attempts, cgroups, containers, dropKept, hierarchies, openRemote, reconciler, repositories } = controllers;

  // In the journal people look for them; a log on stderr is ours alone.
  const outputLevel = logsToJournal(config.log.target) ? 'info' : 'debug';
  const logs = createLogs({
    launcher,
    containerLog: createContainerLog(log, bootTime, (name, stream) =>
      styleOf(store.get().observed, name, stream, outputLevel),
    ),
    earlier: new Map([...remembered.attempts.map(({ id, output }) => [id, output.end] as const), ...logged]),
    outputs: attempts.outputs,
    nameOf: attempts.nameOf,
    wallClock: state.clock.at,
    failed: (error) => log.warn({ err: error }, 'output could not be read'),
  });
  const { commands } = config.debug;
  const { pid } = remembered.hello;
  const debugCommands = createDebugCommands({ commands, log, remembered: remembered.attempts, launcher: pid });

  const spending = spendEntries({
    ...{ store, documents },
    failed: (err) => log.warn({ err }, 'what an uninstallation has left cannot be removed'),
  });
  const sessions = createSessions({
    ...{ launcher, hold, view: containers.view, leaf: cgroups.joinLeaf, selinux: hasSelinux() },
    ...{ dataDir: config.dataDir, tell: events.tell },
  });
  link.listen({ left: sessions.left, watch: (key) => void sessions.fired(key) });

  let takeOver: Runtime['reexec'] | null = null;
  const threshold = createThreshold();
  const runtime: Runtime = createRuntime({
    ...{ store, documents, spending, reconciler, repositories, observing, logs, events, changes, boot },
    dataDir: config.dataDir,
    signed: config.documentKeys.length > 0,
    now: bootTime,
    report: createReporter({
      ...{ runDir: config.runDir, boot, kernel: kernelFacts },
      state: store.get,
      history: documents.history,
      events: events.past.all,
      explain: (key) => runtime.explain(key),
      bootPlan: boots.facts,
      document: () => toJson(documents.current().effective),
      logs: logs.lines,
    }),
    signals: {
      signalExactly: (attempt, signal) => signalExactly(attempt, signal, containers),
      deliver: (attempt, signal) => launcher.kill(attempt.id, signal),
      observe: attempts.observe,
    },
    dropKept,
    plan: async (text, { looksAhead } = { looksAhead: true }) =>
      (await import('../runtime/plan-document.ts')).planDocument(text, looksAhead, {
        store,
        documents,
        hierarchies,
        openRemote,
        log,
        now: bootTime,
        facts: factsPorts(config),
      }),
    lookAtSource: async (source) =>
      (await import('../runtime/look-at-source.ts')).lookAtSource(source, { store, openRemote, log }),
    usage: cgroups.usage,
    locks: { record: (id, bytes) => launcher.record(id, bytes), observe: attempts.observe },
    join: sessions.open,
    hold,
    async metrics() {
      const [{ collect }, { exposed }] = await Promise.all([
        import('../metrics/metrics.ts'),
        import('../metrics/exposition.ts'),
      ]);
      const { starts, sleeps } = remembered.hello;
      const { families, counts } = await collect({ state: store.get, counts: cgroups.counts, starts, sleeps });
      return { openmetrics: exposed(families, 'openmetrics'), prometheus: exposed(families, 'prometheus'), counts };
    },
    shutdown: () => ending.begin(0),
    takeovers: remembered.hello.takeovers,
    enter: threshold.enter,
    async reexec(request) {
      const { createTakeover } = await import('../reexec/takeover.ts');
      takeOver ??= createTakeover({
        ...{ launcher, store, reconciler, held, threshold, log, hello: remembered.hello },
        ...{ runDir: config.runDir, ending: beforeEnd, consoles },
      });
      return await takeOver(request);
    },
  });

  attempts.listen({ after: debugCommands.seen });
  attempts.listen({
    after({ id, name, state: now }) {
      if (now === 'running') consoles.containers.began(id);
      if (now === 'exited' || now === 'failed') consoles.containers.ended(id);
      logs.changed(name);
    },
  });
  link.listen({
    output: logs.arrived,
    watch: consoles.fired,
    terminate(signal) {
      log.info({ signal }, 'asked to end');
      ending.begin(0);
    },
  });

  return {
    logged: logs.positions,
    logsOutput: log.isLevelEnabled(outputLevel),
    async open() {
      // What was asked of the process before this one is answered in this very turn.
      await reconciler.found();
      consoles.adopt(runtime);
      attempts.tellMissed();
      const positions = new Map(logged);
      for (const { id, output } of remembered.attempts) {
        // What was written since rang, and nobody was there to hear it.
        if (output.end > (positions.get(id) ?? Infinity)) logs.arrived(id);
      }
      // Northstar's clients take for granted that what is mounted at the start is mounted when they get in, or cannot be.
      await reconciler.mountedOnStart();
      await consoles.open(runtime);
    },
    async close() {
      spending.close();
      debugCommands.close();
      await consoles.close();
    },
  };
}
