// A pool of threads that hash blocks of files, so that hashing a big image takes all processors and not the main loop.
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { digestsOf, type Blocks } from './block-digests.ts';
import type { DigestReply } from './digest-worker.ts';
import { messageOf } from '../../../state/errno.ts';

export interface Hasher extends AsyncDisposable {
  /** How many threads there are at most. */
  readonly threads: number;
  /** The digests of blocks, one after the other; those asked for first come first. Rejects when they cannot be read. */
  digests(blocks: Blocks): Promise<Buffer>;
  /** Ends the threads; what they were still asked is rejected. */
  close(): Promise<void>;
}

/** Blocks that are hashed in place: that takes a millisecond or two, starting a thread thirty. */
const FEW = 128;
/** ms after which threads without work are ended: each holds some megabytes. */
const IDLE = 5000;

interface Job extends PromiseWithResolvers<Buffer> {
  readonly blocks: Blocks;
}

/** Makes a pool. Threads are started when there is work for them, and ended when there was none for a while. */
export function createHasher(threads = availableParallelism()): Hasher {
  const waiting: Job[] = [];
  const running = new Map<Worker, Job | null>();
  let idle: NodeJS.Timeout | null = null;
  let closed = false;

  const next = (worker: Worker): void => {
    const job = waiting.shift() ?? null;
    running.set(worker, job);
    if (job === null) {
      worker.unref();
      if ([...running.values()].every((each) => each === null)) idle = setTimeout(() => void end(), IDLE).unref();
      return;
    }
    worker.ref();
    worker.postMessage(job.blocks);
  };

  const start = (): void => {
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'mjs'; // as source, or bundled beside the bundle
    const worker = new Worker(new URL(`./digest-worker.${extension}`, import.meta.url));
    worker.on('message', (reply: DigestReply) => {
      const job = running.get(worker);
      if ('error' in reply) job?.reject(new Error(reply.error));
      else job?.resolve(Buffer.from(reply.digests.buffer));
      if (running.has(worker)) next(worker); // else it is being ended
    });
    const ended = (reason: string): void => {
      running.get(worker)?.reject(new Error(`a thread that hashes ${reason}`));
      running.delete(worker);
      if (running.size === 0) refuse(waiting.splice(0), reason);
    };
    worker.on('error', (error) => ended(`failed: ${messageOf(error)}`));
    worker.on('exit', () => ended('has ended'));
    next(worker);
  };

  /** No new work reaches a thread that is being ended. */
  const end = async (): Promise<void> => {
    const workers = [...running.keys()];
    refuse([...running.values(), ...waiting.splice(0)], 'was ended');
    running.clear();
    await Promise.all(workers.map((worker) => worker.terminate()));
  };

  const close = async (): Promise<void> => {
    closed = true;
    if (idle !== null) clearTimeout(idle);
    await end();
  };

  return {
    threads,
    async digests(blocks) {
      if (closed) throw new Error('the threads that hash are ended');
      if (blocks.count <= FEW) return digestsOf(blocks);
      if (idle !== null) clearTimeout(idle);
      const job: Job = { ...Promise.withResolvers<Buffer>(), blocks };
      waiting.push(job);
      const free = [...running].find(([, at]) => at === null);
      if (free !== undefined) next(free[0]);
      else if (running.size < threads) start();
      return job.promise;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

function refuse(jobs: readonly (Job | null)[], reason: string): void {
  for (const job of jobs) job?.reject(new Error(`a thread that hashes ${reason}`));
}
