// `debug.commands` of the configuration: programs that look at a container while it runs (strace, perf), as Northstar has
// them. Each is run after a start, without a shell; its output goes to the log; it ends with the container.
import { spawn, type ChildProcess } from 'node:child_process';
import type { Readable } from 'node:stream';
import type { Logger } from 'pino';
import { decodeRecord } from '../../controllers/containers/attempt-record.ts';
import type { Attempt } from '../../native/wire/launcher.ts';
import { childrenOf } from '../../native/processes.ts';
import { hasErrno } from '../../state/errno.ts';
import { containerId } from '../../state/container-id.ts';

/** Bytes of one stream that are logged; what comes after is read and dropped, so that the program does not stand still. */
const loggedOutput = 256 * 1024;
/** Characters of a line that are logged. */
const loggedLine = 4096;
/** ms between SIGTERM and SIGKILL when the container has ended. */
const grace = 1000;

export interface DebugCommands {
  /** What the launcher says of an attempt: one that has begun to run, or has ended. */
  seen(attempt: Pick<Attempt, 'id' | 'name' | 'state' | 'pid' | 'record'>): void;
  /** Ends all of them at once. */
  close(): void;
}

export interface DebugCommandsOptions {
  /** `<PID>` is the container's init as the host sees it, `<CONTAINER>` its name:version. */
  readonly commands: readonly string[];
  readonly log: Pick<Logger, 'info' | 'warn'>;
  /** Attempts that run already: they were started by an earlier reconciler, and so were their commands. */
  readonly remembered: readonly Pick<Attempt, 'id' | 'pid'>[];
  /** The launcher's process id: what a reconciler that was killed has left is its child now. */
  readonly launcher: number;
}

export function createDebugCommands({ commands, log, remembered, launcher }: DebugCommandsOptions): DebugCommands {
  const started = new Map<number, Set<ChildProcess>>(remembered.map(({ id }) => [id, new Set()]));
  if (commands.length > 0) endOrphans(launcher, new Set([process.pid, ...remembered.map(({ pid }) => pid)]));

  function run(container: string, pid: number, command: string, running: Set<ChildProcess>): void {
    const text = command.replaceAll('<PID>', String(pid)).replaceAll('<CONTAINER>', container);
    const [program = '', ...words] = text.split(/\s+/).filter((word) => word !== '');
    if (program === '') return;
    // A process group of its own, so that what it starts ends with it.
    const child = spawn(program, words, { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    running.add(child);
    const about = { container, command: text };
    child.on('error', (error: NodeJS.ErrnoException) => {
      running.delete(child);
      log.warn({ ...about, error: error.code ?? error.message }, 'debug command cannot be run');
    });
    child.on('exit', (code, signal) => {
      running.delete(child);
      log.info({ ...about, code, signal }, 'debug command has ended');
    });
    logLines(child.stdout, 'stdout');
    logLines(child.stderr, 'stderr');

    function logLines(stream: Readable, name: 'stdout' | 'stderr'): void {
      let left = loggedOutput;
      eachLine(stream, (line) => {
        if (left <= 0) return;
        left -= line.length + 1;
        log.info({ ...about, stream: name, line }, 'debug command output');
        if (left <= 0) log.warn({ ...about, stream: name }, 'further output of a debug command is dropped');
      });
    }
  }

  function end(running: ReadonlySet<ChildProcess>): void {
    for (const child of running) {
      kill(child, 'SIGTERM');
      const timer = setTimeout(() => kill(child, 'SIGKILL'), grace);
      child.once('exit', () => clearTimeout(timer));
    }
  }

  return {
    seen({ id, name, state, pid, record }) {
      if (state === 'exited' || state === 'failed') {
        end(started.get(id) ?? new Set());
        started.delete(id);
      } else if (state === 'running' && !started.has(id)) {
        const running = new Set<ChildProcess>();
        started.set(id, running);
        for (const command of commands) run(containerId(name, decodeRecord(record).version), pid, command, running);
      }
    },
    close() {
      for (const running of started.values()) for (const child of running) kill(child, 'SIGKILL');
    },
  };
}

/** The process group of a child; that of one which has ended is no error. */
function kill({ pid }: Pick<ChildProcess, 'pid'>, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if (!hasErrno(error, 'ESRCH')) throw error;
  }
}

/** A reconciler that was killed could end nothing. Its children are the launcher's now, which else has inits and us. */
function endOrphans(launcher: number, known: ReadonlySet<number>): void {
  for (const pid of childrenOf(launcher)) if (!known.has(pid)) kill({ pid }, 'SIGKILL');
}

/** Calls `take` with each line; one without end comes in pieces of `loggedLine` characters. */
function eachLine(stream: Readable, take: (line: string) => void): void {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) pieces(line).forEach(take);
    const [last = '', ...full] = pieces(rest).reverse();
    full.reverse().forEach(take);
    rest = last;
  });
  stream.on('end', () => {
    if (rest !== '') take(rest);
  });
}

/** At least one piece, which is empty for an empty line. */
function pieces(line: string): string[] {
  const count = Math.max(1, Math.ceil(line.length / loggedLine));
  return Array.from({ length: count }, (_, index) => line.slice(index * loggedLine, (index + 1) * loggedLine));
}
