// The programs that a start is compared with: the floor (floor.c), and other container runtimes where they are installed.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { statSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { run } from '../support/command.ts';

const build = join(import.meta.dirname, '../../.build/bench');

/** The floor, which does one round whenever it is asked: between two of what is measured, so that a busy machine is busy for both. */
export interface Floor extends AsyncDisposable {
  /** ms from a decision to the application's first instruction, and from SIGKILL until all of it is gone. */
  round(): Promise<{ readonly start: number; readonly end: number }>;
}

/** `groups` as mountedImage gives them; `more` are options of floor.c. */
export async function openFloor(
  image: string,
  groups: readonly string[] = [],
  more: readonly string[] = [],
): Promise<Floor> {
  const child = spawn(await compiled('floor'), [...more, '-k', image, '0', '0', ...groups], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    async round() {
      child.stdin.write('\n');
      const { value, done } = await lines.next();
      if (done === true) throw new Error('the floor has ended');
      const [start = 0, end = 0] = value.split(' ').map((ns) => Number(ns) / 1e6);
      return { start, end };
    },
    async [Symbol.asyncDispose]() {
      const ended = once(child, 'exit');
      child.stdin.end();
      await ended;
    },
  };
}

/** The path of a program of this folder (NAME.c), compiled unless it is newer than its source. */
export async function compiled(name: 'floor' | 'filter' | 'boot-floor' | 'join-floor'): Promise<string> {
  const [program, source] = [join(build, name), join(import.meta.dirname, `${name}.c`)];
  if ((statSync(program, { throwIfNoEntry: false })?.mtimeMs ?? 0) < statSync(source).mtimeMs) {
    await mkdir(build, { recursive: true });
    await succeed('gcc', ['-std=gnu17', '-O2', '-static', '-o', program, source]);
  }
  return program;
}

/** Other runtimes, from exec of their command to the application's first instruction, in ms. One that cannot is named. */
export async function* peers(image: string, rounds: number): AsyncGenerator<readonly [string, number[]]> {
  const stamp = ['/probe', 'stamp', '-'];
  const bwrap = ['--unshare-all', '--ro-bind', image, '/', '--proc', '/proc', '--uid', '1000', ...stamp];
  yield* peer('bwrap --unshare-all', () => commandRounds('bwrap', () => bwrap, rounds));
  for (const runtime of ['crun', 'runc']) {
    const bundle = await mkdtemp(join(tmpdir(), 'northstate-bundle-'));
    await writeFile(join(bundle, 'config.json'), JSON.stringify(specification(image, stamp)));
    const root = join(bundle, 'state');
    const args = (round: number) => ['--root', root, 'run', '--bundle', bundle, `northstate-${process.pid}-${round}`];
    yield* peer(`${runtime} run`, () => commandRounds(runtime, args, rounds));
    await rm(bundle, { recursive: true });
  }
}

async function* peer(name: string, measure: () => Promise<number[]>): AsyncGenerator<readonly [string, number[]]> {
  try {
    yield [name, await measure()];
  } catch (error) {
    process.stderr.write(`${name} left out: ${error instanceof Error ? error.message : String(error)}\n`);
  }
}

async function commandRounds(command: string, args: (round: number) => readonly string[], rounds: number) {
  const samples: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const begin = process.hrtime.bigint();
    const { stdout } = await succeed(command, args(round));
    samples.push(Number(BigInt(stdout.trim()) - begin) / 1e6);
  }
  return samples;
}

async function succeed(command: string, args: readonly string[]) {
  const output = await run(command, args);
  if (output.code !== 0) throw new Error(`${command} ${args.join(' ')}: ${output.stderr}`);
  return output;
}

/** The least that the OCI runtime specification lets a container be that does the same. */
function specification(image: string, args: readonly string[]) {
  const namespaces = ['pid', 'mount', 'ipc', 'uts', 'network'].map((type) => ({ type }));
  return {
    ociVersion: '1.0.2',
    process: { user: { uid: 1000, gid: 1000 }, args, cwd: '/', noNewPrivileges: true },
    root: { path: image, readonly: true },
    mounts: [{ destination: '/proc', type: 'proc', source: 'proc' }],
    linux: { namespaces },
  };
}
