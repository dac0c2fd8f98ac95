// `reexec`: another installation proves that it would go on from here, and takes over.
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { containerName } from '../../state/container-id.ts';
import { messageOf } from '../../state/errno.ts';
import { UntrustedPath } from '../../state/file/trust.ts';
import type { Store } from '../../state/store.ts';
import type { Reconciler } from '../../controllers/reconcile/reconciler.ts';
import { LaunchError } from '../../native/wire/attempt.ts';
import type { Hello, Launcher } from '../../native/wire/launcher-interface.ts';
import type { Log } from '../logs/log.ts';
import { runtimeVersion } from '../runtime-version.ts';
import type { Threshold } from '../runtime/threshold.ts';
import { RuntimeError, type TakenOver } from '../runtime/runtime.ts';
import { commandAt } from './installation-at.ts';
import { proofPrefix } from './proof-state.ts';
import { decodeReport, objection } from './report.ts';

export interface TakeoverPorts {
  readonly launcher: Pick<Launcher, 'prove' | 'takeover'>;
  readonly hello: Pick<Hello, 'takeovers'>;
  readonly store: Pick<Store, 'get' | 'subscribe'>;
  readonly reconciler: Pick<Reconciler, 'explain'>;
  readonly runDir: string;
  /** How many requests, and other things that must not be interrupted, are under way; the one that asks for this is one of them. */
  readonly held: () => number;
  /** Those among them that are not to be done twice. */
  readonly threshold: Pick<Threshold, 'bar' | 'within'>;
  readonly consoles: {
    /** Accepts nobody whose connection would not outlive this process, until the function that it gives is called. */
    rest(): () => void;
    /** How many such connections have had no answer yet. */
    unanswered(): number;
  };
  /** Called right before the end of this process. */
  readonly ending: () => void;
  readonly log: Pick<Log, 'info' | 'warn'>;
}

export interface TakeoverRequest {
  /** The directory of the installation; null: our own, as it is now. */
  readonly to: string | null;
  /** ms for the proof. */
  readonly timeout: number;
  /** How many takeovers there had been when an earlier process began with this very request; null: it is new. */
  readonly since: number | null;
}

/** Proofs of one request: what moved while one looked is looked at again. */
const tries = 3;
/** ms that what is under way has to end before it is interrupted. */
const courtesy = 200;
/** The same for a change that loses its connection when it is. */
const longest = 1000;

/** Gives what `reexec` does. It resolves in the process that comes after it, which is asked again, and rejects in this one. */
export function createTakeover(ports: TakeoverPorts): (request: TakeoverRequest) => Promise<TakenOver> {
  const { launcher, hello, log } = ports;
  let isBusy = false;

  async function takeOver({ to, timeout, since }: TakeoverRequest): Promise<TakenOver> {
    if (since !== null && hello.takeovers > since) return { runtime: runtimeVersion, takeovers: hello.takeovers };
    if (since !== null) throw refused('it was interrupted, and nothing has changed; the log says why');
    if (isBusy) throw refused('another one is under way');
    isBusy = true;
    let open = (): void => undefined;
    let accept = open;
    try {
      const command = await commandAt(to).catch(refuseUntrusted);
      const runtime = await prove([command, 'run', ...process.argv.slice(2)], timeout, ports);
      log.info({ to: command, runtime }, 'another runtime takes over');
      // Who connects from now on waits for the next process, instead of being hung up by the end of this one.
      accept = ports.consoles.rest();
      // Who follows or is in a container does not end; a change that has not begun is the next process's.
      await within(courtesy, () => ports.held() <= 1 && ports.consoles.unanswered() === 0);
      open = ports.threshold.bar();
      await within(longest, () => ports.threshold.within() === 0);
      ports.ending();
      await launcher.takeover();
      return await new Promise<never>(() => undefined);
    } catch (error) {
      log.warn({ to, reason: messageOf(error) }, 'no other runtime takes over');
      throw error instanceof LaunchError ? refused(reasonOf(error)) : error;
    } finally {
      isBusy = false;
      open();
      accept();
    }
  }

  return takeOver;
}

/** Gives the version of what has proven itself. */
async function prove(command: readonly string[], timeout: number, ports: TakeoverPorts): Promise<string> {
  const deadline = performance.now() + timeout;
  for (let left = tries; ; left--) {
    const moving = watchMoves(ports);
    // One that comes meanwhile it need not have seen.
    const { generation } = ports.store.get().document;
    try {
      const time = Math.max(1, Math.ceil(deadline - performance.now()));
      const report = decodeReport(await ports.launcher.prove(command, time));
      const why = objection(report, { generation, moving: moving.names() });
      if (why === null) return report.runtime;
      if (left === 1 || performance.now() > deadline) throw refused(why);
    } finally {
      moving.end();
      sweep(ports.runDir);
    }
  }
}

/** Names that something has happened to from now on, and those that something is still to be done about. */
function watchMoves({ store, reconciler }: TakeoverPorts): { names: () => ReadonlySet<string>; end: () => void } {
  const moved = new Set<string>();
  const look = (): void => {
    const { status, observed, desired } = store.get();
    const keys = [...Object.keys(status.containers), ...desired.containers.keys(), ...observed.attempts.keys()];
    for (const name of new Set(keys.map(containerName))) if (reconciler.explain(name).length > 0) moved.add(name);
  };
  look();
  const end = store.subscribe((operations) => {
    for (const { path } of operations) {
      const [, part = '', kind = '', key = ''] = path.split('/');
      const name = containerName(key.replaceAll('~1', '/').replaceAll('~0', '~'));
      if (part === 'observed' || (part === 'desired' && kind === 'containers')) moved.add(name);
      if (part === 'status' && kind === 'containers') moved.add(name);
    }
  });
  return {
    names() {
      look();
      return moved;
    },
    end,
  };
}

/** Waits until it is so, or so many ms. */
async function within(milliseconds: number, isSo: () => boolean): Promise<void> {
  const begun = performance.now();
  while (performance.now() - begun < milliseconds && !isSo()) await delay(5);
}

/** What a successor that was killed has left of its copies. */
function sweep(runDir: string): void {
  for (const name of readdirSync(runDir)) {
    if (name.startsWith(proofPrefix)) rmSync(join(runDir, name), { recursive: true, force: true });
  }
}

/** What a successor says of itself has no errno beside it. */
function reasonOf({ subject, message, code }: LaunchError): string {
  if (code === 'ECANCELED' && subject !== '') return subject;
  return `${subject || message} (${code})`;
}

function refused(message: string): RuntimeError {
  return new RuntimeError('reexec_refused', message);
}

function refuseUntrusted(error: unknown): never {
  throw error instanceof UntrustedPath ? refused(error.message) : error;
}
