// Copying and measuring a tree that a container has written, by a child with few rights (native/launcher/copier/): nothing of it
// is read in this process, and nothing waits for it.
import { spawn } from 'node:child_process';
import { errnoName } from './libc.ts';

/** What a tree may have at most, and how long (ms) it may take. */
export interface TreeBounds {
  readonly bytes: number;
  readonly entries: number;
  readonly time: number;
}

/** What a tree has: bytes that are on the disk, and names. */
export interface TreeSize {
  readonly bytes: number;
  readonly entries: number;
}

/** A tree that is larger than its bounds, deeper than can be gone, or takes too long; the message says which. */
export class TreeTooLarge extends Error {}

/** Copies what is in an open directory, with the directory's own owner, attributes and mode, into an empty one; all of it is on
 * the disk when this resolves. `links`: an empty directory of the same file system, which is of no use afterwards. Rejects with
 * TreeTooLarge, or with what has failed. */
export async function copyTree(
  program: string,
  directories: { readonly source: number; readonly target: number; readonly links: number },
  bounds: TreeBounds,
  signal?: AbortSignal,
): Promise<TreeSize> {
  const { source, target, links } = directories;
  return await run(program, 'copy-tree', [source, target, links], bounds, signal);
}

/** What there is in an open directory. Rejects as copyTree() does. */
export async function measureTree(
  program: string,
  source: number,
  bounds: TreeBounds,
  signal?: AbortSignal,
): Promise<TreeSize> {
  return await run(program, 'measure-tree', [source], bounds, signal);
}

async function run(
  program: string,
  mode: 'copy-tree' | 'measure-tree',
  descriptors: readonly number[],
  { bytes, entries, time }: TreeBounds,
  signal: AbortSignal | undefined,
): Promise<TreeSize> {
  const words = [mode, ...[bytes, entries, Math.ceil(time / 1000), process.pid].map(String)];
  const child = spawn(program, words, {
    ...{ cwd: '/', env: {}, stdio: ['ignore', 'pipe', 'ignore', ...descriptors], killSignal: 'SIGKILL' },
    ...(signal !== undefined && { signal }),
  });
  let said = '';
  child.stdout?.setEncoding('latin1').on('data', (text: string) => {
    said = (said + text).slice(0, 1024);
  });
  const { promise, resolve, reject } = Promise.withResolvers<readonly [number | null, NodeJS.Signals | null]>();
  child.on('error', reject);
  child.on('close', (code, ended) => resolve([code, ended]));
  const [code, ended] = await promise;
  if (ended === 'SIGALRM') throw new TreeTooLarge(`it takes longer than ${time / 1000} s`);
  if (ended !== null) throw new Error(`copying was ended by ${ended}`);
  const [first = '', second = '', third = ''] = said.trim().split(' ');
  if (code === 0) return { bytes: Number(first), entries: Number(second) };
  if (code === 2) throw new TreeTooLarge(excess(first, { bytes, entries }));
  throw Object.assign(new Error(`${second} ${third}: ${errnoName(Number(first))}`), { code: errnoName(Number(first)) });
}

function excess(what: string, { bytes, entries }: Pick<TreeBounds, 'bytes' | 'entries'>): string {
  if (what === 'bytes') return `it has more than ${bytes} bytes`;
  return what === 'entries' ? `it has more than ${entries} files` : 'its directories are too deep';
}
