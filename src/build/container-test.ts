// One run of a package's container on a runtime of its own: for CTest, CI and whoever wants to see what a package does. The
// runtime has its own directories, control groups and console; nothing of it stays, and no other runtime is touched.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { launcherHint, launcherProgram } from '../installation.ts';
import type { Exit } from '../../state/signals.ts';
import type { ContainerStatus, Status } from '../../state/status.ts';
import { connect, ConsoleError, NoConsole, type LogLine, type Northstate } from '../client/northstate.ts';
import { readPackage } from '../npk/open-package.ts';

export interface ContainerTest {
  /** The package to run. */
  readonly file: string;
  /** Packages that it needs: resources. */
  readonly others: readonly string[];
  /** Replaces the manifest's when given. */
  readonly args?: readonly string[] | undefined;
  /** Beside the manifest's. */
  readonly env: Readonly<Record<string, string>>;
  /** Public key that all packages must be signed with: every block of them is then verified. */
  readonly key?: string | undefined;
  /** ms */
  readonly timeout: number;
  /** Told every line that the container prints, as far as its manifest says `io: pipe`. */
  readonly onLine: (line: LogLine) => void;
  /** Ends the run. */
  readonly signal: AbortSignal;
}

/** Northstate cannot run it: `timeout` says that it still ran when the time was over. */
export class TestError extends Error {
  readonly timeout: boolean;

  constructor(message: string, timeout = false) {
    super(message);
    this.name = 'TestError';
    this.timeout = timeout;
  }
}

/** How long a runtime may take to start, and to end, in ms. */
const longestStart = 60_000;
const longestEnd = 30_000;

/** The command that runs us. */
const command = [process.execPath, '--disable-warning=ExperimentalWarning', process.argv[1] ?? ''];

/** Runs the container to its end; gives how it ended. Rejects with a TestError when it cannot be run, or runs too long. */
export async function testContainer(test: ContainerTest): Promise<Exit> {
  const { name, version } = await readPackage(test.file, {}).catch((error: unknown) => {
    throw new TestError(error instanceof Error ? error.message : String(error));
  });
  if (!existsSync(launcherProgram())) throw new TestError(`${launcherProgram()} is missing: ${launcherHint()}`);
  await using runtime = await startRuntime(test, name, version);
  const { client } = runtime;
  const over = AbortSignal.any([AbortSignal.timeout(test.timeout), test.signal]);
  over.addEventListener('abort', () => client.close());
  const output = createOutput(client, name, test.onLine);
  try {
    const exit = await untilExit(client, name);
    await output.finish();
    return exit;
  } catch (error) {
    if (error instanceof TestError) throw error;
    if (!over.aborted) throw new TestError(`the runtime has ended:\n${await runtime.log()}`);
    if (test.signal.aborted) throw new TestError('interrupted');
    throw new TestError(`${name} has not ended within ${test.timeout / 1000} s`, true);
  }
}

interface PrivateRuntime extends AsyncDisposable {
  readonly client: Northstate;
  /** The last lines of its log. */
  log(): Promise<string>;
}

async function startRuntime(test: ContainerTest, name: string, version: string): Promise<PrivateRuntime> {
  const directory = await mkdtemp(join(tmpdir(), 'northstate-test-'));
  const at = (path: string): string => join(directory, path);
  const remove = (): Promise<void> => rm(directory, { recursive: true, force: true });
  const log = async (): Promise<string> => (await readFile(at('log'), 'utf8')).split('\n').slice(-20).join('\n').trim();
  try {
    for (const each of ['packages', 'state', 'data', 'run']) await mkdir(at(each));
    for (const file of [test.file, ...test.others]) await copyFile(file, join(at('packages'), basename(file)));
    await writeFile(at('desired.yaml'), JSON.stringify(documentOf(test, at('packages'), name, version)));
    await writeFile(at('config.yaml'), JSON.stringify(configurationOf(at, basename(directory))));
    const child = await spawnRuntime(at);
    const ended = once(child, 'exit');
    const stop = async (): Promise<void> => {
      child.kill('SIGTERM');
      // A runtime that hangs is not waited for: with its launcher everything of it dies.
      const late = setTimeout(() => child.kill('SIGKILL'), longestEnd);
      await ended;
      clearTimeout(late);
      await remove();
    };
    try {
      const opening = connect({
        url: `unix://${at('run/console')}`,
        reconnect: false,
        patience: { first: longestStart },
      });
      const noConsole = (error: unknown): null => {
        if (error instanceof NoConsole) return null;
        throw error;
      };
      const client = await Promise.race([opening.catch(noConsole), ended.then(() => null)]);
      if (client === null) throw new TestError(`the runtime does not start:\n${await log()}`);
      return {
        client,
        log,
        async [Symbol.asyncDispose]() {
          client.close();
          await stop();
        },
      };
    } catch (error) {
      await stop();
      throw error;
    }
  } catch (error) {
    await remove();
    throw error;
  }
}

/** The runtime ends with us, however we end: setpriv(1) has the kernel tell it. */
async function spawnRuntime(at: (path: string) => string): Promise<ChildProcess> {
  await using log = await open(at('log'), 'a');
  const words = ['--pdeathsig', 'TERM', '--', ...command, 'run', '--config', at('config.yaml')];
  const child = spawn('setpriv', words, { stdio: ['ignore', log.fd, log.fd] });
  await Promise.race([once(child, 'spawn'), once(child, 'error')]).then(([error]: unknown[]) => {
    if (error instanceof Error) throw new TestError(`setpriv (util-linux) cannot be run: ${error.message}`);
  });
  return child;
}

function documentOf({ key, args, env }: ContainerTest, dir: string, name: string, version: string): object {
  // Everything is checked before the mount: build machines often have no device mapper.
  const verified = key === undefined ? {} : { key: resolve(key), integrity: 'full-check' };
  const repository = { type: 'fs', dir, ...verified };
  const entry = { version, state: 'running', restart: { policy: 'never' }, env, ...(args !== undefined && { args }) };
  return {
    apiVersion: 'northstate/v1',
    autostart: 'ignore',
    repositories: { packages: repository },
    containers: { [name]: entry },
  };
}

function configurationOf(at: (path: string) => string, cgroup: string): object {
  return {
    ...{ desired: at('desired.yaml'), seed: at('seed.yaml'), stateDir: at('state'), dataDir: at('data') },
    ...{ runDir: at('run'), socketDir: at('run/sockets'), cgroup },
    console: [{ listen: `unix://${at('run/console')}`, permissions: 'full' }],
  };
}

async function untilExit(client: Northstate, name: string): Promise<Exit> {
  for await (const { status } of client.watch()) {
    const { error } = status.document;
    if (error !== null) throw new TestError(`the document of this test is refused: ${error.message}`);
    const container = status.containers[name];
    if (container?.phase === 'Exited' && container.lastExit !== null) return container.lastExit;
    const reason = container === undefined ? null : stuckReason(container, status);
    if (reason !== null) throw new TestError(`${name} cannot be started: ${reason}`);
  }
  throw new Error('the console has ended');
}

/** Why it will never run: nothing changes in this runtime any more. */
function stuckReason({ phase, conditions }: ContainerStatus, { repositories }: Status): string | null {
  const ready = conditions.find(({ type }) => type === 'Ready');
  const waits = ['WaitingForPackage', 'WaitingForResource'].includes(ready?.reason ?? '');
  if (phase !== 'Failed' && !waits) return null;
  const problems = Object.values(repositories).flatMap((repository) => repository.problems);
  const messages = conditions.filter(({ type, status }) => status !== 'True' && type === 'Ready').map((c) => c.message);
  return [...messages, ...problems].join('; ');
}

interface Output {
  /** Tells what has not been told yet. */
  finish(): Promise<void>;
}

/** Follows the output; at the end what is kept is read once more, since the last lines may come after the exit. */
function createOutput(client: Northstate, name: string, onLine: (line: LogLine) => void): Output {
  let told = 0;
  const over = new AbortController();
  const follow = async (): Promise<void> => {
    for await (const line of client.logs(name, { follow: true })) {
      if (over.signal.aborted) return;
      told++;
      onLine(line);
    }
  };
  const retry = async (error: unknown): Promise<void> => {
    // Before its first start a container has no output.
    if (!(error instanceof ConsoleError) || over.signal.aborted) return;
    await delay(50);
    await follow().catch(retry);
  };
  void follow().catch(retry);
  return {
    async finish() {
      over.abort();
      let kept = 0;
      for await (const line of client.logs(name)) if (++kept > told) onLine(line);
    },
  };
}
