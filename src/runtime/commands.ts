// Imperative commands: each becomes a patch, and is answered when its effect is observed and the patch is durable.
import type { ObservedAttempt } from '../../state/observed.ts';
import { closingPatch } from '../../state/document/closing-patch.ts';
import {
  commandPatch,
  isAsked,
  withdrawInstall,
  withdrawStart,
  type Command,
} from '../../state/document/command-patches.ts';
import type { Documents } from '../../state/document/documents.ts';
import type { PatchOptions } from '../../state/document/patches.ts';
import type { State, Store } from '../../state/store.ts';
import { dataUsers, effectOf } from './command-effect.ts';
import type { Spending } from './spending.ts';
import type { NotDurable } from '../../state/document/core.ts';
import { RuntimeError, type Lifetime, type Performed } from './runtime.ts';
import { containerName, splitContainerId } from '../../state/container-id.ts';

export interface CommandPorts {
  readonly store: Store;
  readonly documents: Documents;
  readonly spending: Pick<Spending, 'settled'>;
  /** Sends exactly one signal; the attempt's end is then not judged by its restart policy. */
  readonly signalExactly: (attempt: ObservedAttempt, signal: number) => Promise<void>;
  /** Takes an attempt into the observed state. */
  readonly observe: (attempt: ObservedAttempt) => void;
  /** Sends a signal and nothing else. */
  readonly deliver: (attempt: ObservedAttempt, signal: number) => Promise<void>;
  /** Has what the document now asks of a name begun at once. */
  readonly hurry: (name: string) => void;
  /** Why a container is not as the document has it. */
  readonly explain: (name: string) => readonly string[];
  /** Removes the persistent data of a container name. */
  readonly wipe: (name: string) => Promise<void>;
}

interface Options {
  readonly lifetime: Lifetime;
  readonly origin: string;
  readonly timeout: number;
  /** An earlier reconciler had begun with it, and asked for this run if it was a start. */
  readonly begun?: number | undefined;
}

const SIGKILL = 9;
const SIGTERM = 15;

/** Performs a command; rejects with RuntimeError. */
export async function execute(command: Command, options: Options, ports: CommandPorts): Promise<Performed> {
  if (command.type === 'kill') return { dataKeptFor: [], notDurable: await kill(command, options, ports) };
  const before = ports.store.get();
  const { durable } = await patch(command, options, ports);
  ports.hurry(containerName('container' in command ? command.container : command.name));
  const patched = ports.store.get();
  let notDurable: NotDurable;
  try {
    const effect = effectOf(command, patched, options.begun);
    [notDurable] = await Promise.all([durable, until(effect, command, options.timeout, ports)]);
  } catch (error) {
    await withdraw(command, { before, patched }, options, ports);
    throw error;
  }
  const dataKeptFor = command.type === 'uninstall' && command.wipe ? await wipe(command.container, ports) : [];
  const closing = closingPatch(command, { before, patched, now: ports.store.get() });
  const named = { ...options, command: commandText(command) };
  if (closing.length > 0) notDurable = await (await ports.documents.patch(closing, named)).durable;
  if (command.type === 'uninstall') await ports.spending.settled();
  return { dataKeptFor, notDurable };
}

/** All versions of a name share its data: it stays for those that are left. The package is gone by then, as was asked. */
async function wipe(container: string, { store, wipe }: CommandPorts): Promise<readonly string[]> {
  const name = containerName(container);
  const dataKeptFor = dataUsers(store.get(), name);
  if (dataKeptFor.length === 0) await wipe(name);
  return dataKeptFor;
}

/** A start or an installation that was answered with an error leaves nothing: it would happen later, when nobody expects it. */
async function withdraw(
  order: Command,
  { before, patched }: { before: State; patched: State },
  { lifetime, origin }: Options,
  { documents, store }: CommandPorts,
): Promise<void> {
  const operations =
    order.type === 'start'
      ? withdrawStart(order.container, before, patched, store.get())
      : order.type === 'install-entry' && order.source !== null
        ? withdrawInstall(order, before, store.get())
        : [];
  if (operations.length === 0) return;
  const command = `${commandText(order)}, which failed`;
  await (
    await documents.patch(operations, { lifetime, origin, command })
  ).durable;
}

/** A command as a person would write it. */
function commandText(command: Command): string {
  const subject = 'container' in command ? command.container : command.name;
  return `${command.type === 'install-entry' ? 'install' : command.type} ${subject}`;
}

/** The entries of a name take the highest version that is installed. */
function update(name: string, options: Options, { documents, store }: CommandPorts): { durable: Promise<NotDurable> } {
  const { lock, desired } = store.get();
  const keys = [...lock.keys()].filter((key) => key === name || desired.containers.get(key)?.name === name);
  return documents.renewLocks(keys, options);
}

/** Answered at delivery. A signal that ends a container is a wish as well: it is to stay down. */
async function kill(
  command: Extract<Command, { type: 'kill' }>,
  options: Options,
  ports: CommandPorts,
): Promise<NotDurable> {
  const { name, version } = splitContainerId(command.container);
  const running = (ports.store.get().observed.attempts.get(name) ?? []).findLast(
    (attempt) => attempt.state === 'running' && (version === null || attempt.version === version),
  );
  if (running === undefined) {
    const detail = { container: command.container };
    throw new RuntimeError('stop_container_not_started', `${command.container} is not running`, detail);
  }
  if (command.signal !== SIGKILL && command.signal !== SIGTERM) {
    await ports.deliver(running, command.signal);
    return null;
  }
  const sent = Promise.withResolvers<void>();
  const begins = (): void => {
    ports.signalExactly(running, command.signal).then(sent.resolve, sent.reject);
    // Seen before the wish is: the loop would stop the container in its own way.
    ports.observe({ ...running, record: { ...running.record, stop: { deadline: null, killed: false } } });
  };
  // The signal goes as soon as the wish can be put into force, and the container ends while that is done and written.
  const { durable } = await patch(command, { ...options, begins }, ports);
  const [notDurable] = await Promise.all([durable, sent.promise]);
  return notDurable;
}

async function patch(
  command: Command,
  options: Options & Pick<PatchOptions, 'begins'>,
  ports: CommandPorts,
): Promise<{ readonly durable: Promise<NotDurable> }> {
  const { lifetime, origin, begun, begins } = options;
  const { documents, store } = ports;
  if (command.type === 'start' && begun !== undefined && isAsked(command.container, begun, store.get())) {
    return { durable: Promise.resolve(documents.notDurable(lifetime)) };
  }
  if (command.type === 'update') return update(command.name, options, ports);
  const operations = commandPatch(command, store.get());
  const order = { lifetime, origin, command: commandText(command), ...(begins !== undefined && { begins }) };
  if (operations.length > 0) return await documents.patch(operations, order);
  begins?.();
  return { durable: Promise.resolve(documents.notDurable(lifetime)) };
}

function until(
  effect: ReturnType<typeof effectOf>,
  command: Command,
  timeout: number,
  { store, explain }: CommandPorts,
): Promise<void> {
  const container = 'container' in command ? command.container : command.name;
  return new Promise((resolve, reject) => {
    const look = (state: State): boolean => {
      const seen = effect(state);
      if (seen === null) return false;
      if (seen === 'done') resolve();
      else reject(seen);
      return true;
    };
    if (look(store.get())) return;
    const finish = (): void => {
      unsubscribe();
      clearTimeout(timer);
    };
    const unsubscribe = store.subscribe((_, state) => {
      if (look(state)) finish();
    });
    const timer = setTimeout(() => {
      finish();
      const why = explain(containerName(container)).join('; ');
      const error = `not done within ${timeout / 1000} s${why === '' ? '' : `: ${why}`}`;
      const isStart = command.type === 'start';
      const [reason, detail] = isStart
        ? ['start_container_failed', { container, error }]
        : ['timeout', { name: container }];
      reject(new RuntimeError(reason, `${container}: ${error}`, detail));
    }, timeout);
  });
}
