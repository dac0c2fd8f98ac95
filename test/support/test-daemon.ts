// A northstate in directories of its own, for the tests and the demo: started from the command line as anybody would,
// watched through its console, and whatever happens, nothing of it stays.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, rmSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ContainerStatus, Status } from '../../state/status.ts';
import { northstate, run, type Output } from './command.ts';
import { commandLine } from './container-processes.ts';
import { watchStatus } from './feed.ts';
import { giveUpGroups, removeGroups } from './leftover-groups.ts';
import { patience } from './patience.ts';

export interface Daemon {
  /** Unusual text in the names of its directory and control groups: what leaks.ts looks for. */
  readonly mark: string;
  readonly directory: string;
  /** The desired-state document. */
  readonly document: string;
  /** The directory of its packages: the repository `packages` of documentOf. */
  readonly repository: string;
  /** Where images are mounted, in the reconciler's mount namespace. */
  readonly runDir: string;
  /** What NORTHSTATE_CONSOLE must be to reach it. */
  readonly console: string;
  /** The launcher's. */
  readonly pid: number;
  /** Its exit code, or the name of the signal that ended it. */
  readonly exited: Promise<number | NodeJS.Signals>;
  /** The last 40 lines that it logged. */
  log(): string;
  /** Runs `northstate ARGS` against it. */
  run(...args: readonly string[]): Promise<Output>;
  /** Replaces the document as an updater does: a new file, renamed over the old one. */
  write(document: string): Promise<void>;
  /** Calls the listener with every status that `get --watch` shows; gives the function that ends it. */
  watch(listener: (status: Status) => void): () => void;
  /** The first status that fits, from the present one on. Rejects when it does not come, naming `what` and the last status. */
  until(what: string, fits: (status: Status) => boolean): Promise<Status>;
  /** The same for one container. */
  untilContainer(name: string, what: string, fits: (container: ContainerStatus) => boolean): Promise<ContainerStatus>;
  /** Looks no more: whoever follows the status keeps the reconciler awake. `watch` and `until` end with it. */
  unwatch(): void;
  /** The process that decides; the launcher starts another one when it dies. */
  reconciler(): number | null;
  /** Leaves it running when this process ends, and when it is disposed of. */
  release(): void;
  /** Ends it with SIGTERM; gives how it ended. */
  stop(): Promise<number | NodeJS.Signals>;
  /** Kills it unless it has ended, and with it all that it started; removes its control groups and its directory. */
  [Symbol.asyncDispose](): Promise<void>;
}

export interface DaemonOptions {
  /** Package files to put into the directory of its packages. */
  readonly packages: readonly string[];
  /** That of an earlier daemon, which has ended: this one finds what that one left. A new one when left out. */
  readonly directory?: string;
  /** Gives the first document, told the directory of the packages. There is none when it is left out. */
  readonly document?: (packages: string) => string;
  /** As on a device, for measurements: runDir is a tmpfs, and the log says no more than it does there. */
  readonly asOnDevice?: boolean;
  /** That of the log; `debug` when left out, and `info` as on a device. */
  readonly level?: 'debug' | 'info';
  /** Further fields of its configuration, as YAML. */
  readonly configuration?: string;
  /** Limits of its console, as the configuration has them; the defaults when left out. */
  readonly limits?: Readonly<Record<string, number>>;
  /** Further consoles, as YAML. */
  readonly consoles?: readonly string[];
  /** It may end by itself, also before its console answers. */
  readonly mayEnd?: boolean;
  /** The command of another installation; this checkout's when left out. */
  readonly program?: string;
  /** What its environment has besides ours. */
  readonly env?: NodeJS.ProcessEnv;
  /** A command line that runs it, as withoutSyscall gives one; it must execute what follows in its own process. */
  readonly prefix?: readonly string[];
}

/** A document with the repository `packages` and these entries of containers, YAML that is not indented. */
export function documentOf(packages: string, ...containers: readonly string[]): string {
  const entries = containers.flatMap((entry) => entry.trimEnd().split('\n'));
  return `apiVersion: northstate/v1
repositories:
  packages: { type: fs, dir: ${packages} }
containers:
${entries.map((line) => `  ${line}\n`).join('')}...
`;
}

/** Starts a daemon and waits until its console answers. */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const { packages, document, directory: earlier, asOnDevice = false, limits = {}, consoles = [] } = options;
  const { configuration: more = '', prefix = [], program = northstate, env = {} } = options;
  const { level = asOnDevice ? 'info' : 'debug' } = options;
  const directory = earlier ?? (await mkdtemp(join(tmpdir(), 'northstate-')));
  const mark = basename(directory);
  const path = (name: string): string => join(directory, name);
  const url = `unix://${path('run/console')}`;
  for (const name of ['packages', 'state', 'data', 'run']) await mkdir(path(name), { recursive: true });
  for (const file of packages) await copyFile(file, join(path('packages'), basename(file)));
  if (document !== undefined) await writeFile(path('desired.yaml'), document(path('packages')));
  await writeFile(
    path('config.yaml'),
    `${configuration(path, mark, url, level, limits, consoles)}${sleepy(more)}${more}`,
  );
  if (asOnDevice) await run('mount', ['-t', 'tmpfs', '-o', 'mode=700', 'tmpfs', path('run')]);

  const log = openSync(path('log'), 'a');
  const words = [...prefix, program, 'run', '--config', path('config.yaml')];
  const child = spawn(words[0] ?? northstate, words.slice(1), {
    stdio: ['ignore', log, log],
    detached: true,
    env: { ...process.env, ...env },
  });
  closeSync(log);
  const exited = ending(child);
  const pid = child.pid;
  if (pid === undefined) throw new Error(`${northstate} cannot be run: ${String(await exited)}`);

  // A test that is given up (SIGTERM, from the runner) disposes of nothing any more.
  const giveUp = (): void => {
    child.kill('SIGKILL');
    if (asOnDevice) spawnSync('umount', ['-l', path('run')]);
    giveUpGroups(mark);
    rmSync(directory, { recursive: true, force: true });
  };
  process.on('exit', giveUp);
  if (process.listenerCount('SIGTERM') === 0) process.once('SIGTERM', () => process.exit(143));

  const feed = watchStatus(url, exited);
  let released = false;
  const end = async (): Promise<void> => {
    process.off('exit', giveUp);
    feed.close();
    child.kill('SIGKILL');
    await exited;
    if (asOnDevice) await run('umount', ['-l', path('run')]);
    await removeGroups(mark);
    await rm(directory, { recursive: true, force: true });
  };
  let ended: Promise<void> | null = null;
  const remove = async (): Promise<void> => {
    if (!released) await (ended ??= end());
  };
  const daemon: Daemon = {
    ...{ mark, directory, document: path('desired.yaml'), repository: path('packages'), runDir: path('run') },
    ...{ console: url, pid, exited },
    log: () => readFileSync(path('log'), 'utf8').split('\n').slice(-40).join('\n'),
    run: (...args) => run(northstate, args, { NORTHSTATE_CONSOLE: url }),
    async write(text) {
      await writeFile(path('desired.yaml.new'), text);
      await rename(path('desired.yaml.new'), path('desired.yaml'));
    },
    watch: feed.listen,
    until: (what, fits) => feed.until(what, fits, patience),
    async untilContainer(name, what, fits) {
      const found = (status: Status): ContainerStatus | undefined => status.containers[name];
      const fitting = (container: ContainerStatus | undefined): container is ContainerStatus =>
        container !== undefined && fits(container);
      const status = await feed.until(`${name}: ${what}`, (each) => fitting(found(each)), patience);
      return found(status) as ContainerStatus;
    },
    unwatch: () => feed.close(),
    reconciler: () => reconcilerOf(pid),
    release() {
      process.off('exit', giveUp);
      feed.close();
      child.unref();
      released = true;
    },
    async stop() {
      child.kill('SIGTERM');
      const timer = new AbortController();
      const late = delay(patience, 'late' as const, { signal: timer.signal }).catch(() => 'late' as const);
      const how = await Promise.race([exited, late]);
      timer.abort();
      if (how === 'late') throw new Error(`northstate does not end on SIGTERM:\n${daemon.log()}`);
      return how;
    },
    [Symbol.asyncDispose]: remove,
  };
  try {
    const shown = feed.until('the first status', () => true, patience);
    // One that is to end may have done so before anybody could ask.
    await (options.mayEnd === true ? Promise.race([shown.catch(() => undefined), exited]) : shown);
  } catch (error) {
    const logged = daemon.log();
    await remove();
    throw new Error(`northstate did not come up:\n${logged}`, { cause: error });
  }
  return daemon;
}

function configuration(
  path: (name: string) => string,
  mark: string,
  url: string,
  level: string,
  limits: Readonly<Record<string, number>>,
  consoles: readonly string[],
): string {
  const first = `{ listen: "${url}", permissions: full, patches: document, limits: ${JSON.stringify(limits)} }`;
  return `desired: ${path('desired.yaml')}
seed: ${path('seed.yaml')}
stateDir: ${path('state')}
dataDir: ${path('data')}
runDir: ${path('run')}
socketDir: ${path('run/sockets')}
cgroup: ${mark}
console: [${[first, ...consoles].join(', ')}]
log: { level: ${level} }
`;
}

/** It stays awake, unless the test says otherwise, or NORTHSTATE_TEST_SLEEP after how much rest every runtime sleeps. */
function sleepy(more: string): string {
  if (/^sleep:/m.test(more)) return '';
  return `sleep: { after: ${process.env['NORTHSTATE_TEST_SLEEP'] ?? 'never'} }\n`;
}

async function ending(child: ChildProcess): Promise<number | NodeJS.Signals> {
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  return code ?? signal ?? 1;
}

/** The launcher's child that is no container's init: until it has its title it is Node by its name. */
function reconcilerOf(launcher: number): number | null {
  const children = readFileSync(`/proc/${launcher}/task/${launcher}/children`, 'utf8').trim().split(' ');
  const found = children.find((pid) => /^northstate reconciler|(^|\/)node\0/.test(commandLine(pid)));
  return found === undefined ? null : Number(found);
}
