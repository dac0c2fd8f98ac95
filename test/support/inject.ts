// Faults that the kernel would answer with, by strace(1): whoever makes the call gets the errno, and the call is not made.
import { spawn } from 'node:child_process';
import { once } from 'node:events';

export interface Fault {
  /** Names of system calls, parted by commas. */
  readonly calls: string;
  /** `EIO`, or what else strace's `inject` takes. */
  readonly error: string;
  /** Only calls on these paths, or on descriptors of them; all when left out. */
  readonly paths?: readonly string[];
}

export interface Injected {
  /** The calls are made again from here on. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Lets calls of a process, of its threads and of all that it starts from now on fail, until it is disposed of. */
export async function inject(pid: number, ...faults: readonly Fault[]): Promise<Injected> {
  const all = faults.map(({ calls }) => calls).join(',');
  const paths = faults.flatMap((fault) => fault.paths ?? []).flatMap((path) => ['-P', path]);
  const injections = faults.flatMap(({ calls, error }) => ['-e', `inject=${calls}:error=${error}`]);
  const words = ['-f', '-p', String(pid), '-o', '/dev/null', '-e', `trace=${all}`, ...paths, ...injections];
  const strace = spawn('strace', words, { stdio: ['ignore', 'ignore', 'pipe'] });
  const giveUp = (): void => void strace.kill('SIGINT');
  process.on('exit', giveUp);
  const said: string[] = [];
  const ended = once(strace, 'exit').then(() => {
    throw new Error(`strace ended: ${said.join('')}`);
  });
  ended.catch(() => undefined);
  const attached = new Promise<void>((resolve) => {
    strace.stderr.setEncoding('utf8').on('data', (text: string) => {
      said.push(text);
      if (/attached/.test(said.join(''))) resolve();
    });
  });
  await Promise.race([attached, ended]);
  return {
    async [Symbol.asyncDispose]() {
      process.off('exit', giveUp);
      strace.kill('SIGINT');
      await ended.catch(() => undefined);
    },
  };
}
