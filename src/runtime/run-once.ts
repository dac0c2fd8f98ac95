// One run of a container for somebody who waits for its end: an order beside the document, which wants the same before and
// afterwards. The order is this process's own: who waits is connected to it, and a run that nobody has ordered is ended.
import { isGoing } from '../../controllers/reconcile/asked-runs.ts';
import { startFailure } from '../../controllers/containers/start-failure.ts';
import { faultText } from '../../controllers/containers/readiness.ts';
import type { Tell } from '../../controllers/events.ts';
import { containerId, splitContainerId } from '../../state/container-id.ts';
import { nextRun } from '../../state/document/command-patches.ts';
import { DocumentSigned } from '../../state/document/refusals.ts';
import type { ObservedAttempt } from '../../state/observed.ts';
import type { State, Store } from '../../state/store.ts';
import type { Logs } from '../logs/container-output.ts';
import { RuntimeError, type ContainerSession, type RunRequest } from './runtime.ts';

export interface RunOncePorts {
  readonly store: Store;
  readonly logs: Pick<Logs, 'lines'>;
  readonly tell: Tell;
  /** Sends a signal and nothing else. */
  readonly deliver: (attempt: ObservedAttempt, signal: number) => Promise<void>;
  /** What keeps a name from what is asked of it. */
  readonly explain: (name: string) => readonly string[];
  /** Says that something is under way that must not be interrupted; gives the function that says that it is over. */
  readonly hold: () => () => void;
  /** Documents must be signed: only what the one in force names is run. */
  readonly signed: boolean;
}

type Over = Awaited<ContainerSession['ended']>;

/** Orders a run of a name, or name:version; resolves at once. Throws RuntimeError where there can be none. */
export async function runOnce(request: RunRequest, by: string, ports: RunOncePorts): Promise<ContainerSession> {
  const { store } = ports;
  const { name } = splitContainerId(request.name);
  const container = checked(request.name, store.get(), ports.signed);
  const id = nextRun(store.get(), name);
  const { args, timeout } = request;
  const over = new AbortController();
  const begun = Promise.withResolvers<ObservedAttempt | null>();
  const release = ports.hold();
  store.update(({ orders }) => void orders.set(name, { id, key: request.name, args: [...args], timeout }));
  ports.tell({ type: 'run_once', container, by });

  const ended = until(name, id, begun.resolve, over.signal, ports).finally(() => {
    begun.resolve(null);
    over.abort();
    const isOurs = store.get().orders.get(name)?.id === id;
    if (isOurs) store.update(({ orders }) => void orders.delete(name));
    release();
  });
  void ended.then(({ exit }) => ports.tell({ type: 'run_once_end', container, by, exit }));

  return {
    container,
    async *output() {
      const attempt = await begun.promise;
      if (attempt === null) return;
      // What it has written is there until another run takes its place.
      const lines = ports.logs.lines(name, {
        since: null,
        follow: true,
        attempt: attempt.id,
        signal: new AbortController().signal,
      });
      for await (const { stream, line } of lines) yield { stream, data: Buffer.from(`${line}\n`) };
    },
    write: async () => undefined,
    end: () => undefined,
    resize: () => undefined,
    async signal(number) {
      const attempt = attemptOf(store.get(), name, id);
      if (attempt?.state === 'running') await ports.deliver(attempt, number);
      // It has not begun: what would end it keeps it from that.
      else over.abort();
    },
    ended,
    close: async () => over.abort(),
  };
}

/** name:version of what would run. */
function checked(asked: string, { desired, observed, orders, lock }: State, signed: boolean): string {
  const { name, version } = splitContainerId(asked);
  const busy = (why: string): RuntimeError => new RuntimeError('busy', `${name} ${why}`, { name });
  if (orders.has(name)) throw busy('is run once already: two runs of it are never at the same time');
  if (observed.attempts.get(name)?.some(isGoing) === true)
    throw busy('is running: stop it first, two runs of it are never at the same time');
  const packages = observed.packages.get(name) ?? [];
  const entries = [...desired.containers.values()].filter((entry) => entry.name === name && entry.state !== 'absent');
  if (signed && entries.length === 0) throw new DocumentSigned(`a run of ${name}, which it does not name`);
  const locked = entries.map(({ key }) => lock.get(key)?.version);
  const found = packages.find((each) => (version === null ? locked.includes(each.version) : each.version === version));
  const any = found ?? (version === null ? packages[0] : undefined);
  if (any !== undefined) return containerId(name, any.version);
  // A source that its entry names is installed first.
  const source = entries.find((entry) => entry.source !== null);
  if (source !== undefined) return containerId(name, version ?? lock.get(source.key)?.version ?? '0.0.0');
  throw new RuntimeError('unknown_name', `${asked} is not installed`, { name: asked });
}

/** How the run has ended; it is told when it begins. A signal that is aborted ends it before. */
function until(
  name: string,
  id: number,
  began: (attempt: ObservedAttempt) => void,
  signal: AbortSignal,
  { store, explain }: RunOncePorts,
): Promise<Over> {
  return new Promise((resolve) => {
    const finish = (over: Over): void => {
      unsubscribe();
      resolve(over);
    };
    const look = (state: State): Over | null => {
      const attempt = attemptOf(state, name, id);
      if (attempt !== undefined && attempt.startedAt > 0) began(attempt);
      return attempt === undefined ? refusalOf(state, name) : overOf(attempt);
    };
    const unsubscribe = store.subscribe((_, state) => {
      const over = look(state);
      if (over !== null) finish(over);
    });
    const aborted = (): void =>
      finish({
        exit: { signal: 15 },
        failure: `it has not run to its end: ${explain(name).join('; ') || 'nobody waits for it any more'}`,
      });
    if (signal.aborted) aborted();
    else signal.addEventListener('abort', aborted);
  });
}

function overOf({ state, exit, failure, record, health, name, version }: ObservedAttempt): Over | null {
  if (state === 'failed' && failure !== null)
    return { exit: { code: cannotStart }, failure: startFailure(containerId(name, version), failure) };
  if (state !== 'exited' || exit === null) return null;
  const { fault } = record.stop ?? {};
  const how = 'code' in exit ? { code: exit.code } : { signal: exit.signal };
  return { exit: how, failure: fault === undefined ? null : faultText(fault, health.message) };
}

/** What a shell says of a program that cannot be executed. */
const cannotStart = 126;

/** What keeps it from ever beginning. */
function refusalOf({ status, generation }: State, name: string): Over | null {
  const own = Object.entries(status.containers).find(
    ([key, { phase }]) => splitContainerId(key).name === name && phase === 'Failed',
  );
  if (own === undefined || status.observedGeneration < generation) return null;
  const [, { conditions }] = own;
  const said = conditions.find(
    ({ type, status: is, message }) => message !== '' && is === (type === 'Degraded' ? 'True' : 'False'),
  );
  return { exit: { code: cannotStart }, failure: said?.message ?? 'it cannot start' };
}

function attemptOf({ observed }: State, name: string, id: number): ObservedAttempt | undefined {
  return observed.attempts.get(name)?.findLast(({ record }) => record.by === 'once' && record.run === id);
}
