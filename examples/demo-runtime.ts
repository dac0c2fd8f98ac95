// The demo's runtime: started from the command line as anybody would, in directories of its own, seen through the client,
// and whatever happens, nothing of it stays.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, globSync, openSync, readdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { connect, type Northstate } from '../src/client/northstate.ts';
import type { Status } from '../state/status.ts';

const execute = promisify(execFile);
const command = join(import.meta.dirname, '../src/cli/northstate');

export interface DemoRuntime {
  readonly directory: string;
  /** The desired-state document. */
  readonly document: string;
  /** What NORTHSTATE_CONSOLE must be to reach it. */
  readonly console: string;
  /** Calls the listener with every status. */
  watch(listener: (status: Status) => void): void;
  /** The first status that fits, from the present one on. Rejects after 15 s, naming `what`. */
  until(what: string, fits: (status: Status) => boolean): Promise<Status>;
  /** Runs `northstate ARGS` against it; rejects with what it said when it ends with another code than 0. */
  run(...args: readonly string[]): Promise<string>;
  /** Replaces the document as an updater does: a new file, renamed over the old one. */
  write(text: string): Promise<void>;
  /** The launcher's child that decides; null while there is none. */
  reconciler(): number | null;
  /** Ends it with SIGTERM; gives how it ended. */
  stop(): Promise<number | NodeJS.Signals>;
  /** Processes, mounts, loop devices and control groups of it that are there, each as a line. */
  leftovers(): Promise<string[]>;
  /** Leaves it running when this process ends. */
  release(): void;
  /** Kills it unless it has ended; removes its control groups and its directory. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts a runtime with these package files; `document` is told the directory they are in. Rejects with its log when it does not come up. */
export async function startRuntime(
  packages: readonly string[],
  document: (packages: string) => string,
): Promise<DemoRuntime> {
  const directory = await mkdtemp(join(tmpdir(), 'northstate-demo-'));
  const mark = basename(directory);
  const path = (name: string): string => join(directory, name);
  const url = `unix://${path('console')}`;
  await mkdir(path('packages'));
  await Promise.all(packages.map((file) => copyFile(file, join(path('packages'), basename(file)))));
  await writeFile(path('desired.yaml'), document(path('packages')));
  await writeFile(path('config.yaml'), settings(directory, mark, url));

  const log = openSync(path('log'), 'a');
  const child = spawn(command, ['run', '--config', path('config.yaml')], {
    stdio: ['ignore', log, log],
    detached: true,
  });
  closeSync(log);
  const exited = once(child, 'exit').then(([code, signal]) => (code ?? signal ?? 1) as number | NodeJS.Signals);
  const abandon = (): void => {
    child.kill('SIGKILL');
    rmSync(directory, { recursive: true, force: true });
  };
  process.on('exit', abandon);

  let client: Northstate;
  try {
    const ended = exited.then((how) => Promise.reject(new Error(`it ended with ${how}`)));
    client = await Promise.race([connect({ url, patience: { first: 60_000 } }), ended]);
  } catch (error) {
    const logged = readFileSync(path('log'), 'utf8').split('\n').slice(-40).join('\n');
    await end();
    throw new Error(`northstate did not come up:\n${logged}`, { cause: error });
  }
  const shown = followStatus(client);
  return {
    ...{ directory, document: path('desired.yaml'), console: url },
    watch: shown.watch,
    until: shown.until,
    run: async (...args) => (await execute(command, args, { env: { ...process.env, NORTHSTATE_CONSOLE: url } })).stdout,
    async write(text) {
      await writeFile(path('desired.yaml.new'), text);
      await rename(path('desired.yaml.new'), path('desired.yaml'));
    },
    reconciler: () => reconcilerOf(child.pid ?? 0),
    async stop() {
      client.close();
      child.kill('SIGTERM');
      return exited;
    },
    leftovers: () => leftovers(mark),
    release() {
      process.off('exit', abandon);
      client.close();
      child.unref();
    },
    async [Symbol.asyncDispose]() {
      client.close();
      await end();
    },
  };

  async function end(): Promise<void> {
    process.off('exit', abandon);
    child.kill('SIGKILL');
    await exited;
    for (const group of groups(mark)) await removeGroup(group);
    await rm(directory, { recursive: true, force: true });
  }
}

function settings(directory: string, mark: string, url: string): string {
  const path = (name: string): string => join(directory, name);
  return `desired: ${path('desired.yaml')}
stateDir: ${path('state')}
dataDir: ${path('data')}
runDir: ${path('run')}
socketDir: ${path('run/sockets')}
cgroup: ${mark}
console: [{ listen: "${url}", permissions: full, patches: document }]
`;
}

/** The status, which the client follows over every restart of the reconciler. */
function followStatus(client: Northstate): Pick<DemoRuntime, 'watch' | 'until'> {
  const listeners = new Set<(status: Status) => void>();
  let last: Status | null = null;
  const follow = async (): Promise<void> => {
    for await (const { status } of client.watch()) {
      last = status;
      for (const listener of listeners) listener(status);
    }
  };
  const followed = follow();
  const watch = (listener: (status: Status) => void): void => {
    listeners.add(listener);
    if (last !== null) listener(last);
  };
  return {
    watch,
    until: (what, fits) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(() => finish(() => reject(new Error(`${what}: not within 15 s`))), 15_000);
        const look = (status: Status): void => {
          if (fits(status)) finish(() => resolve(status));
        };
        const finish = (act: () => void): void => {
          clearTimeout(timer);
          listeners.delete(look);
          act();
        };
        watch(look);
        followed.catch((error: unknown) =>
          finish(() => reject(error instanceof Error ? error : new Error(String(error)))),
        );
      }),
  };
}

/** Of the launcher's children the one that is no container's init: until it has its title it is Node by its name. */
function reconcilerOf(launcher: number): number | null {
  const children = lines(`/proc/${launcher}/task/${launcher}/children`).join(' ').trim().split(' ');
  const found = children.find((pid) =>
    lines(`/proc/${pid}/cmdline`).some((line) => /^northstate reconciler|(^|\/)node\0/.test(line)),
  );
  return found === undefined ? null : Number(found);
}

/** Waits up to three seconds: the kernel takes the mounts of dead namespaces down in a queue of its own, and tells nobody. */
async function leftovers(mark: string): Promise<string[]> {
  const deadline = performance.now() + 3000;
  for (;;) {
    const left = marked(mark);
    if (left.length === 0 || performance.now() > deadline) return left;
    await delay(20);
  }
}

function marked(mark: string): string[] {
  const having = (kind: string, paths: readonly string[]): string[] =>
    paths.flatMap((path) => lines(path).flatMap((line) => (line.includes(mark) ? [`${kind} ${path}: ${line}`] : [])));
  const processes = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  return [
    ...having('loop device', globSync('/sys/block/loop*/loop/backing_file')),
    ...having('socket', ['/proc/net/unix']),
    ...processes.flatMap((pid) => [
      ...having('process', [`/proc/${pid}/cmdline`]),
      ...having('mount', [`/proc/${pid}/mountinfo`]),
    ]),
    ...groups(mark).map((group) => `control group ${group}`),
  ];
}

/** What was killed may take a moment to leave it. */
async function removeGroup(group: string): Promise<void> {
  for (const deadline = performance.now() + 10_000; ;) {
    try {
      rmdirSync(group);
      return;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT') return;
      if (code !== 'EBUSY' || performance.now() > deadline) throw error;
      await delay(10);
    }
  }
}

/** The control groups of that name with all below them, the innermost first. */
function groups(mark: string): string[] {
  const hierarchies = lines('/proc/self/mountinfo').filter((line) => / - cgroup2? /.test(line));
  return hierarchies
    .flatMap((line) => {
      const top = join(line.split(' ')[4] ?? '', mark);
      return existsSync(top) ? [top, ...globSync(`${top}/**/`)] : [];
    })
    .map((group) => group.replace(/\/$/, ''))
    .filter((group, index, all) => all.indexOf(group) === index)
    .sort((a, b) => b.length - a.length);
}

/** The lines of a file of proc or sysfs; none when the object that it shows has gone. */
function lines(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split('\n');
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'EINVAL', 'ENXIO'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
    throw error;
  }
}
