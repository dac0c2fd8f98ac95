// Containers for tests: a launcher of their own, packages, and what became of them.
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Attempt } from '../../native/wire/launcher.ts';
import { startLauncher, type RemoteReconciler, type TestLauncher } from './test-launcher.ts';
import type { Box, SandboxCalls } from './calls.ts';

const fixtures = fileURLToPath(new URL('../fixtures/npk/', import.meta.url));
const calls = join(import.meta.dirname, 'calls.ts');

/** The path of a package among the fixtures. */
export function fixture(name: string): string {
  return join(fixtures, `${name}.npk`);
}

/** What a container did from its start to its end. */
export interface Ended {
  readonly exit: Attempt['exit'];
  readonly stdout: string;
  readonly stderr: string;
}

type Specification = Omit<Box, 'id'>;

export interface Boxes {
  readonly launcher: TestLauncher;
  readonly reconciler: RemoteReconciler;
  /** The persist directories are in it. */
  readonly dataDir: string;
  /** Sockets are bound in it. */
  readonly socketDir: string;
  /** Makes a sandbox in which nothing runs yet. Rejects with the fields of a LaunchError. */
  prepare(box: Specification): Promise<Attempt>;
  /** Starts what was prepared; resolves when exec is reached. */
  start(prepared: Attempt, box: Specification): Promise<Attempt>;
  /** Both. */
  launch(box: Specification): Promise<Attempt>;
  /** Waits for the end. */
  ended(attempt: Attempt): Promise<Ended>;
  /** From the start to the end. */
  run(box: Specification): Promise<Ended>;
  /** The hash of what a sandbox would be made from now. */
  hash(box: Specification): Promise<string>;
  /** Removes the files of sockets that nobody holds: of one name, or (null) of all. */
  sweepSockets(name: string | null): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** `wrapper` is the command line of a program that starts the launcher. */
export async function openBoxes({ wrapper = [] }: { readonly wrapper?: readonly string[] } = {}): Promise<Boxes> {
  const directory = await mkdtemp(join(tmpdir(), 'northstate-sandbox-'));
  const dataDir = join(directory, 'data');
  const socketDir = join(directory, 'sockets');
  await Promise.all(['data', 'sockets', 'images'].map((name) => mkdir(join(directory, name))));
  const launcher = await startLauncher({ NORTHSTATE_TEST_DIR: directory }, { calls, wrapper });
  const reconciler = await launcher.reconciler();
  // The reconciler has these beside those of the launcher.
  const call = reconciler.call as unknown as <K extends keyof SandboxCalls>(
    name: K,
    ...values: Parameters<SandboxCalls[K]>
  ) => ReturnType<SandboxCalls[K]>;
  let last = 0;

  async function attempt(id: number, states: readonly Attempt['state'][]): Promise<Attempt> {
    const [found] = await reconciler.next('attempt', (seen) => seen.id === id && states.includes(seen.state));
    return found;
  }

  const boxes: Boxes = {
    launcher,
    reconciler,
    dataDir,
    socketDir,
    async prepare(box) {
      const id = ++last;
      await call('prepareBox', { ...box, id });
      return attempt(id, ['prepared']);
    },
    async start({ id }, box) {
      await call('startBox', { ...box, id });
      return attempt(id, ['running', 'exited']);
    },
    launch: async (box) => boxes.start(await boxes.prepare(box), box),
    async ended(running) {
      const done = running.state === 'exited' ? running : await attempt(running.id, ['exited']);
      return { exit: done.exit, ...(await output(reconciler, done)) };
    },
    run: async (box) => boxes.ended(await boxes.launch(box)),
    hash: (box) => call('hashBox', { ...box, id: 0 }),
    sweepSockets: (name) => call('sweepSockets', name),
    async [Symbol.asyncDispose]() {
      await launcher[Symbol.asyncDispose]();
      await rm(directory, { recursive: true });
    },
  };
  return boxes;
}

/** The kept output: records of u8 stream, u64 time, u32 length and bytes. */
async function output(reconciler: RemoteReconciler, { id }: Attempt): Promise<{ stdout: string; stderr: string }> {
  const streams: [Buffer[], Buffer[]] = [[], []];
  const { data } = await reconciler.call('read', id, 0, 131072);
  const bytes = Buffer.from(data);
  for (let at = 0; at < bytes.length;) {
    const length = bytes.readUInt32LE(at + 9);
    streams[bytes.readUInt8(at) === 1 ? 0 : 1].push(bytes.subarray(at + 13, at + 13 + length));
    at += 13 + length;
  }
  return { stdout: Buffer.concat(streams[0]).toString(), stderr: Buffer.concat(streams[1]).toString() };
}
