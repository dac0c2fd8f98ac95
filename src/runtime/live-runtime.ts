// The runtime that consoles speak to, on top of store, documents and reconciler.
import { TerminalError, unsettledText } from '../../controllers/failure.ts';
import { wipePersist } from '../../controllers/sandbox/persist.ts';
import type { Reconciler } from '../../controllers/reconcile/reconciler.ts';
import type { Repositories } from '../../controllers/repositories/repositories.ts';
import { InstalledAlready } from '../../controllers/repositories/repository-room.ts';
import { DocumentSigned, type Documents } from '../../state/document/documents.ts';
import type { RepositoryEntry } from '../../state/desired.ts';
import type { Store } from '../../state/store.ts';
import { execute, type CommandPorts } from './commands.ts';
import { lockRun, unlockRun } from './lock-commands.ts';
import type { LockPorts } from '../../controllers/containers/attempt-lock.ts';
import { runOnce } from './run-once.ts';
import { unmetOf } from '../../controllers/status/explain.ts';
import { openJournal, type Past } from './journal.ts';
import type { StatusChanges } from './status-changes.ts';
import type { Logs } from '../logs/container-output.ts';
import type { Observing } from '../../controllers/observing.ts';
import { containerName } from '../../state/container-id.ts';
import { createSerialQueues } from '../../state/serial-queue.ts';
import type { Tell } from '../../controllers/events.ts';
import { findingText, ownFindings, type ToldFinding } from '../preflight/finding.ts';
import { wait } from './wait.ts';
import { RuntimeError, type Lifetime, type Runtime, type StampedEvent } from './runtime.ts';

export interface RuntimePorts {
  readonly store: Store;
  readonly documents: Documents;
  readonly spending: CommandPorts['spending'];
  readonly reconciler: Reconciler;
  readonly repositories: Repositories;
  readonly observing: Observing;
  readonly logs: Logs;
  readonly dataDir: string;
  /** Documents must be signed. */
  readonly signed: boolean;
  readonly boot: string;
  /** CLOCK_BOOTTIME in ms. */
  readonly now: () => number;
  readonly events: Events;
  readonly changes: StatusChanges;
  readonly signals: Pick<CommandPorts, 'signalExactly' | 'deliver' | 'observe'>;
  /** Gives up what is kept of a name's persistent data. */
  readonly dropKept: (name: string) => Promise<void>;
  readonly plan: Runtime['plan'];
  readonly lookAtSource: Runtime['lookAtSource'];
  readonly report: Runtime['report'];
  readonly usage: (name: string) => Readonly<Record<string, unknown>>;
  readonly locks: LockPorts;
  readonly join: Runtime['join'];
  readonly hold: () => () => void;
  readonly metrics: Runtime['metrics'];
  readonly shutdown: () => void;
  readonly takeovers: number;
  readonly reexec: Runtime['reexec'];
  readonly enter: Runtime['enter'];
}

/** Who is told what happens, and what has happened. */
export interface Events {
  readonly past: Past<StampedEvent>;
  readonly tell: Tell;
  listen(listener: (stamped: StampedEvent) => void): () => void;
}

/** As many events, and changes of the status, as are kept for those who were away. */
export const mostKept = 1024;

/**
 * `now`: CLOCK_BOOTTIME in ms, `text`: such a time in RFC 3339, as the wall clock stands now; `fd`: the journal's file, in which an
 * earlier process has left its own.
 */
export function createEvents(now: () => number, text: (boot: number) => string, fd: number): Events {
  const listeners = new Set<(stamped: StampedEvent) => void>();
  const past = openJournal<StampedEvent>({ fd, first: firstNumber(now), most: mostKept });
  // The wall clock may have been set since.
  const told = (stamped: StampedEvent): StampedEvent => ({ ...stamped, time: text(stamped.monotonic) });
  return {
    past: {
      last: past.last,
      since: (number) => past.since(number)?.map(told) ?? null,
      all: () => past.all().map(told),
    },
    tell(event, of) {
      const stamped: StampedEvent = {
        sequence: past.last() + 1,
        monotonic: Math.round(now()),
        time: text(now()),
        event,
        ...(of !== undefined && { of }),
      };
      past.add(stamped);
      for (const listener of listeners) listener(stamped);
    },
    listen(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** Microseconds since the boot: higher than any number that an earlier reconciler of this boot has come to. */
export function firstNumber(now: () => number): number {
  return Math.floor(now() * 1000);
}

export function createRuntime(ports: RuntimePorts): Runtime {
  const { store, documents, reconciler, events } = ports;
  const commandPorts: CommandPorts = {
    store,
    documents,
    spending: ports.spending,
    ...ports.signals,
    hurry: reconciler.hurry,
    explain: (name) => reconciler.explain(name).map(unsettledText),
    wipe: async (name) => {
      await wipePersist(ports.dataDir, name);
      await ports.dropKept(name);
    },
  };

  return {
    signed: ports.signed,
    state: () => store.get(),
    boot: ports.boot,
    changes: ports.changes.journal,
    subscribe: (listener) => ports.changes.subscribe(listener),
    pastEvents: events.past,
    events: (listener) => events.listen(listener),
    async command(command, options) {
      const performed = await execute(command, options, commandPorts);
      if (command.type === 'uninstall') events.tell({ type: 'uninstall', container: command.container });
      return performed;
    },
    inTurn: createSerialQueues().run,
    async apply(text, { strict = false, ...options }) {
      if (options.force !== true && options.dryRun !== true) {
        // What does not count is not looked at any further.
        const isJudged = strict || (await documents.isTried({ text, signature: options.signature ?? null }));
        if (isJudged) await documents.apply(text, { ...options, dryRun: true });
        if (isJudged) refuseFindings((await ports.plan(text)).findings);
      }
      return await documents.apply(text, options);
    },
    patch: (make, options) => documents.patchRead(make, options),
    rollback: (generation, options) => documents.rollback(generation, options),
    dropOverlay: (name) => documents.dropOverlay(name),
    notDurable: (lifetime) => documents.notDurable(lifetime),
    document: () => documents.current(),
    explain: (name) => unmetOf(store.get(), name, (plain) => reconciler.explain(plain)),
    report: () => ports.report(),
    plan: ports.plan,
    lookAtSource: ports.lookAtSource,
    wait: (options) => wait(options, ports),
    confirm: (generation) => documents.confirm(generation),
    revert(generation, origin) {
      const message = `${origin} has asked for it`;
      return documents.revert({ reason: 'Requested', message, entries: [] }, generation);
    },
    release: (which) => documents.release(which),
    history: () => documents.history(),
    textOf: (generation) => documents.textOf(generation),
    async install(repository, size, pieces, options) {
      if (ports.signed) checkInstall(store.get().desired.repositories.get(repository), options.lifetime);
      const container = await ports.repositories.installStream(repository, size, pieces).catch((error: unknown) => {
        throw installError(error, repository);
      });
      ports.observing.packages(ports.repositories.current(), [containerName(container)]);
      // What lies in memory is gone with the boot, and so is the wish for it.
      const mem = store.get().observed.repositories.get(repository)?.type === 'mem';
      const lifetime = mem ? 'boot' : options.lifetime;
      const { notDurable } = await execute(
        { type: 'install-entry', container, repository, source: null },
        { ...options, lifetime, timeout: 0 },
        commandPorts,
      );
      events.tell({ type: 'install', container });
      return { container, notDurable };
    },
    logs: (name, options) => ports.logs.lines(name, options),
    statistics: (name) => Promise.resolve(ports.usage(name)),
    lock: (name, ttl, by) => lockRun(name, ttl, by, ports),
    unlock: (name, by) => unlockRun(name, by, ports),
    join: ports.join,
    runOnce: (request, by) =>
      runOnce(request, by, {
        ...{ store, logs: ports.logs, tell: events.tell, deliver: ports.signals.deliver, hold: ports.hold },
        explain: (name) => reconciler.explain(name).map(unsettledText),
        signed: ports.signed,
      }),
    metrics: ports.metrics,
    shutdown: ports.shutdown,
    takeovers: ports.takeovers,
    reexec: ports.reexec,
    enter: ports.enter,
  };
}

/** Nobody else has signed what is installed into a repository without a key. */
function checkInstall(repository: RepositoryEntry | undefined, lifetime: Lifetime): void {
  if (lifetime === 'document') throw new DocumentSigned('an installation that is to last longer than the boot');
  if (repository?.keys.length === 0)
    throw new DocumentSigned(`an installation into ${repository.id}, a repository without a key`);
}

/** Throws where one of the findings is the new document's own. */
function refuseFindings(findings: readonly ToldFinding[]): void {
  const own = ownFindings(findings);
  if (own.length === 0) return;
  throw new RuntimeError('preflight', own.map(findingText).join('; '), { findings: own });
}

/** The console's name for a refused installation, where it has one. */
function installError(error: unknown, repository: string): unknown {
  if (error instanceof InstalledAlready && error.reason === 'Duplicate') {
    return new RuntimeError('install_duplicate', error.message, { container: error.container });
  }
  if (error instanceof TerminalError && error.reason === 'UnknownRepository') {
    return new RuntimeError('invalid_repository', error.message, { repository });
  }
  return error;
}
