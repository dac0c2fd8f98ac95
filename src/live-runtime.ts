// The runtime that consoles speak to, on top of store, documents and reconciler.
import { lstat, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { TerminalError } from '../controllers/failure.ts';
import type { Reconciler } from '../controllers/reconciler.ts';
import type { Repositories } from '../controllers/repositories.ts';
import { InstalledAlready } from '../controllers/repository-room.ts';
import type { Documents } from '../state/documents.ts';
import type { Store } from '../state/store.ts';
import { execute, type CommandPorts } from './commands.ts';
import type { Logs } from './logs.ts';
import type { Observing } from './observing.ts';
import { RuntimeError, type Runtime, type RuntimeEvent } from './runtime.ts';

export interface RuntimePorts {
  readonly store: Store;
  readonly documents: Documents;
  readonly reconciler: Reconciler;
  readonly repositories: Repositories;
  readonly observing: Observing;
  readonly logs: Logs;
  readonly dataDir: string;
  readonly events: Events;
  readonly signals: Pick<CommandPorts, 'signalExactly' | 'deliver' | 'observe'>;
  readonly plan: Runtime['plan'];
  readonly usage: (name: string) => Readonly<Record<string, unknown>>;
  readonly shutdown: () => void;
}

/** Who is told what happens. */
export interface Events {
  tell(event: RuntimeEvent): void;
  listen(listener: (event: RuntimeEvent) => void): () => void;
}

export function createEvents(): Events {
  const listeners = new Set<(event: RuntimeEvent) => void>();
  return {
    tell(event) {
      for (const listener of listeners) listener(event);
    },
    listen(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

export function createRuntime(ports: RuntimePorts): Runtime {
  const { store, documents, reconciler, events } = ports;
  const commandPorts: CommandPorts = {
    store,
    documents,
    ...ports.signals,
    explain: (name) => reconciler.explain(name),
    wipe: (name) => wipe(ports.dataDir, name),
  };

  return {
    state: () => store.get(),
    subscribe(listener) {
      return store.subscribe((operations, state) => {
        const own = operations.filter(({ path }) => path.startsWith('/status/'));
        if (own.length > 0)
          listener(
            own.map((each) => ({ ...each, path: each.path.slice('/status'.length) })),
            state,
          );
      });
    },
    events: (listener) => events.listen(listener),
    async command(command, options) {
      await execute(command, options, commandPorts);
      if (command.type === 'uninstall') events.tell({ type: 'uninstall', container: command.container });
    },
    apply: (text, options) => documents.apply(text, options),
    plan: ports.plan,
    wait: (options) => wait(options, ports),
    history: () => documents.history(),
    async install(repository, size, bytes, options) {
      const container = await ports.repositories.installStream(repository, size, bytes).catch((error: unknown) => {
        throw installError(error, repository);
      });
      const [name = ''] = container.split(':');
      ports.observing.packages(ports.repositories.current(), [name]);
      // What lies in memory is gone with the boot, and so is the wish for it.
      const mem = store.get().observed.repositories.get(repository)?.type === 'mem';
      const lifetime = mem ? 'boot' : options.lifetime;
      await execute(
        { type: 'install-entry', container, repository },
        { ...options, lifetime, timeout: 0 },
        commandPorts,
      );
      events.tell({ type: 'install', container });
      return container;
    },
    logs: (name, options) => ports.logs.lines(name, options),
    statistics: (name) => Promise.resolve(ports.usage(name)),
    shutdown: ports.shutdown,
  };
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

/** Persistent data of a container. The name is checked where it enters; a link in its place is removed, not followed. */
async function wipe(dataDir: string, name: string): Promise<void> {
  const path = join(dataDir, name);
  const found = await lstat(path).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  });
  if (found !== null) await rm(path, { recursive: true });
}

function wait(
  { generation, timeout }: { generation: number; timeout: number },
  { store, reconciler }: RuntimePorts,
): Promise<'converged' | 'failed' | 'timeout'> {
  return new Promise((resolve) => {
    const look = (): boolean => {
      const outcome = store.get().status.observedGeneration < generation ? 'moving' : reconciler.outcome();
      if (outcome !== 'moving') resolve(outcome);
      return outcome !== 'moving';
    };
    if (look()) return;
    const timer = setTimeout(() => {
      unsubscribe();
      resolve('timeout');
    }, timeout);
    const unsubscribe = reconciler.onSettled(() => {
      if (!look()) return;
      unsubscribe();
      clearTimeout(timer);
    });
  });
}
