// Who joins a container that runs: a program of its own, a shell, a file that is copied. The launcher makes the process;
// here it is said what that is, and what it reads and writes passes through.
import type { Leaf } from '../../controllers/cgroups/cgroups.ts';
import { sectionOf } from '../../controllers/cgroups/cgroups-plan.ts';
import type { Target, View } from '../../controllers/controller.ts';
import type { Tell } from '../../controllers/events.ts';
import { openJoin } from '../../controllers/sandbox/sandbox-open.ts';
import { joinOps, type JoinAs } from '../../controllers/sandbox/application-ops.ts';
import { startOf } from '../../controllers/sandbox/start-command.ts';
import type { TerminalSize } from '../../native/pseudo-terminal.ts';
import { LaunchError } from '../../native/wire/launcher.ts';
import type { Launcher } from '../../native/wire/launcher-interface.ts';
import type { Left } from '../../native/wire/attempt.ts';
import type { Op } from '../../native/wire/ops.ts';
import { containerId } from '../../state/container-id.ts';
import type { ObservedAttempt } from '../../state/observed.ts';
import type { Cgroups as Section } from '../../state/schema/manifest.ts';
import { RuntimeError, type ContainerSession, type SessionRequest } from '../runtime/runtime.ts';
import { openPipes, openTerminal, type Owner, type SessionStreams } from './session-streams.ts';
import { lacksShell, openTools, toolsPath } from './shell-tools.ts';

export interface Sessions {
  /** Joins; resolves when exec is reached or the file is open. Throws RuntimeError. */
  open(name: string, request: SessionRequest, by: string): Promise<ContainerSession>;
  /** The launcher tells that one has ended. */
  left(left: Left): void;
  /** A watch of the launcher has fired; whether it was one of these. */
  fired(key: number): boolean;
  /** How many there are. */
  count(): number;
}

export interface SessionsPorts {
  readonly launcher: Pick<Launcher, 'join' | 'signal' | 'watch' | 'rearm' | 'unwatch'>;
  readonly view: (name: string) => View;
  readonly leaf: (name: string, attempt: number, section: Section | null, everywhere: boolean) => Promise<Leaf>;
  readonly selinux: boolean;
  readonly dataDir: string;
  readonly tell: Tell;
  /** Says that something is under way that must not be interrupted; gives the function that says that it is over. */
  readonly hold: () => () => void;
}

/** Watches of terminals have keys from here on, below those of kept connections. */
const firstTerminalKey = 2 ** 39;
const endTerminalKey = 2 ** 40;
/** Beyond it nobody new gets in; the launcher's own bound is higher. */
const most = 32;
const SIGKILL = 9;

export function createSessions(ports: SessionsPorts): Sessions {
  const { launcher } = ports;
  const ends = new Map<number, (left: Left) => void>();
  const waiting = new Map<number, () => void>();
  let last = 0;
  let opening = 0;

  /** Resolves when a terminal has room. */
  async function writable(key: number, master: number): Promise<void> {
    const room = Promise.withResolvers<void>();
    waiting.set(key, room.resolve);
    await launcher.watch(key, 'writable', master);
    await room.promise;
    await launcher.unwatch(key);
  }

  async function open(name: string, request: SessionRequest, by: string): Promise<ContainerSession> {
    const { attempt, target, manifest } = joinable(ports.view(name));
    if (ends.size + opening >= most) {
      throw new RuntimeError('busy', `there are ${most} sessions already: end one of them`, { name });
    }
    const container = containerId(name, attempt.version);
    const id = ++last;
    const owner: Owner = request.user ?? (request.privileged ? { uid: 0, gid: 0 } : manifest);
    const streams =
      request.terminal === null
        ? openPipes(owner, request.input)
        : openTerminal(owner, request.terminal, (master) => writable(firstTerminalKey + id, master));
    const ended = Promise.withResolvers<Left>();
    const release = ports.hold();
    opening += 1;
    try {
      ends.set(id, ended.resolve);
      await join(id, attempt, target, request, streams);
    } catch (error) {
      ends.delete(id);
      streams.close();
      release();
      throw error instanceof LaunchError ? refusal(error, container) : error;
    } finally {
      opening -= 1;
      streams.closeTheirs();
    }
    ports.tell({ type: 'session', container, by, does: whatIt(request), privileged: request.privileged });
    void ended.promise.then(({ exit }) => {
      waiting.get(firstTerminalKey + id)?.();
      streams.settle();
      release();
      ports.tell({ type: 'session_end', container, by, exit });
    });
    return sessionOf(id, container, streams, ended.promise, launcher);
  }

  async function join(
    id: number,
    attempt: ObservedAttempt,
    target: Target,
    request: SessionRequest,
    streams: SessionStreams,
  ): Promise<void> {
    const { manifest } = target.package ?? fail(`${target.key}: no package is installed`);
    const start = startOf({ manifest, entry: target.entry, dataDir: ports.dataDir });
    const mayMount = manifest.capabilities?.includes('CAP_SYS_ADMIN') === true;
    const tools = request.shell && lacksShell(attempt.pid) ? await openTools() : null;
    const leaf = await ports.leaf(attempt.name, attempt.id, sectionOf(target), mayMount);
    try {
      const as: JoinAs = { user: request.user, privileged: request.privileged };
      const ops: Op[] = openJoin(joinOps({ manifest, entry: target.entry }, as), leaf, ports.selinux);
      if (tools !== null) ops.push({ op: 'tools', fd: tools.tree, names: tools.names });
      if (request.terminal !== null) ops.push({ op: 'terminal' });
      streams.theirs.forEach((fd, number) => ops.push({ op: 'descriptor', fd, number }));
      ops.push(lastOp(request, start.environment, tools !== null));
      const joined = launcher.join({ id, attempt: attempt.id, ops });
      streams.begin();
      await joined;
    } finally {
      leaf.close();
      tools?.close();
    }
  }

  return {
    open,
    left(left) {
      ends.get(left.id)?.(left);
      ends.delete(left.id);
    },
    fired(key) {
      if (key < firstTerminalKey || key >= endTerminalKey) return false;
      waiting.get(key)?.();
      waiting.delete(key);
      return true;
    },
    count: () => ends.size,
  };
}

function fail(message: string): never {
  throw new Error(message);
}

/** What runs of a name. Throws RuntimeError when nothing does that can be joined. */
function joinable({ name, attempts, targets }: View): {
  attempt: ObservedAttempt;
  target: Target;
  manifest: NonNullable<Target['package']>['manifest'];
} {
  // Of a replacement, what it replaces may be there for a moment longer.
  const running = attempts.filter(({ state }) => state === 'running');
  const attempt = running.find(({ record }) => record.stop === null);
  const target = targets.find(({ version }) => version === attempt?.version);
  if (attempt === undefined || target === undefined || target.package === null) {
    const why = running.length === 0 ? 'is not running' : 'is about to be stopped';
    throw new RuntimeError('stop_container_not_started', `${name} ${why}`, { container: name });
  }
  if (target.entry.paused) throw new RuntimeError('busy', `${name} is paused: resume it first`, { name });
  return { attempt, target, manifest: target.package.manifest };
}

/** In words for the record of events: the program without its arguments, which may hold secrets. */
function whatIt({ does }: SessionRequest): string {
  if ('copy' in does) return does.copy.direction === 'in' ? `copy to ${does.copy.path}` : `copy from ${does.copy.path}`;
  return does.exec[0] ?? '';
}

function lastOp({ does, terminal }: SessionRequest, own: ReadonlyMap<string, string>, tools: boolean): Op {
  if ('copy' in does) return { op: 'copy', ...does.copy };
  const [program = ''] = does.exec;
  const environment = new Map(own);
  if (terminal !== null) environment.set('TERM', terminal.type);
  if (tools) environment.set('PATH', [environment.get('PATH'), toolsPath].filter(Boolean).join(':'));
  return {
    op: 'exec',
    path: program,
    arguments: does.exec,
    environment: [...environment].map(([key, value]) => `${key}=${value}`),
  };
}

/** What the launcher refuses, in the console's words. */
function refusal({ message, step, code, subject }: LaunchError, container: string): RuntimeError {
  const detail = { container, step, code };
  if (step === 'join' && code === 'ENOSPC') return new RuntimeError('busy', 'there are too many sessions', detail);
  if (step === 'attempt') {
    return new RuntimeError('stop_container_not_started', `${container} has ended meanwhile`, detail);
  }
  if (step === 'exec' && code === 'ENOENT') {
    return new RuntimeError('session_failed', `there is no program ${subject} in ${container}`, detail);
  }
  return new RuntimeError('session_failed', message, detail);
}

function sessionOf(
  id: number,
  container: string,
  streams: SessionStreams,
  ended: Promise<Left>,
  launcher: Pick<Launcher, 'signal'>,
): ContainerSession {
  return {
    container,
    output: () => streams.output(),
    write: (data) => streams.write(data),
    end: () => streams.end(),
    resize: (size: TerminalSize) => streams.resize(size),
    signal: (number) => launcher.signal(id, number),
    ended: ended.then(({ exit, failure }) => ({
      exit,
      failure: failure === null ? null : new LaunchError(failure).message,
    })),
    async close() {
      streams.close();
      await launcher.signal(id, SIGKILL);
    },
  };
}
