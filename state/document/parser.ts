// Reading and splicing documents without holding up the main loop: small ones in place, big ones in a worker thread.
import { Worker } from 'node:worker_threads';
import type { Configured } from '../desired.ts';
import type { DocumentWork } from './document-work.ts';
import type { TreeChange } from '../text/tree.ts';
import type { Parsed } from './parsed-document.ts';
import { messageOf } from '../errno.ts';

/** Characters up to which a text is read in place: that takes about a millisecond. */
const SMALL = 2048;
/** ms after which a worker without work is ended: it holds some megabytes. */
const IDLE = 5000;

export interface Parser {
  /** What a text asks for. */
  parse(text: string): Promise<Parsed>;
  /** The text with changes made in it. Rejects when that cannot be done. */
  splice(text: string, changes: readonly TreeChange[]): Promise<string>;
  /** Ends the worker. What is still asked of it is rejected. */
  close(): Promise<void>;
}

type Work =
  | { readonly kind: 'parse'; readonly text: string }
  /** `text` null: the one that the worker gave or was given last. */
  | { readonly kind: 'splice'; readonly text: string | null; readonly changes: readonly TreeChange[] };
export type WorkerRequest = Work & { readonly id: number };
export type WorkerReply =
  { readonly id: number; readonly result: Parsed | string } | { readonly id: number; readonly error: string };

/** Makes a parser. The worker is started when a big document first comes, and ends when none has come for a while. */
export function createParser(configured: Configured): Parser {
  let here: Promise<DocumentWork> | null = null;
  let worker: Worker | null = null;
  let idle: NodeJS.Timeout | null = null;
  let id = 0;
  // What the worker has read last: sending a big text costs more than everything else that the main loop does.
  let known: { readonly text: string; readonly id: number } | null = null;
  const waiting = new Map<number, PromiseWithResolvers<Parsed | string>>();

  const inPlace = (): Promise<DocumentWork> => {
    here ??= import('./document-work.ts').then(({ createDocumentWork }) => createDocumentWork(configured));
    return here;
  };

  const end = (running: Worker, reason: string): void => {
    if (worker !== running) return;
    worker = null;
    known = null;
    for (const { reject } of waiting.values()) reject(new Error(`the worker that reads documents ${reason}`));
    waiting.clear();
  };

  const start = (): Worker => {
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'mjs'; // as source, or bundled beside the bundle
    const running = new Worker(new URL(`./parser-worker.${extension}`, import.meta.url), { workerData: configured });
    running.unref();
    running.on('message', (reply: WorkerReply) => {
      const asked = waiting.get(reply.id);
      waiting.delete(reply.id);
      if ('error' in reply) asked?.reject(new Error(reply.error));
      else asked?.resolve(reply.result);
      if (waiting.size > 0) return;
      running.unref();
      idle = setTimeout(() => void stop(), IDLE).unref();
    });
    running.on('error', (error) => end(running, `failed: ${messageOf(error)}`));
    running.on('exit', () => end(running, 'has ended'));
    return running;
  };

  const stop = async (): Promise<void> => {
    const running = worker;
    if (running === null) return;
    end(running, 'was ended');
    await running.terminate();
  };

  const ask = (work: Work): Promise<Parsed | string> => {
    if (idle !== null) clearTimeout(idle);
    worker ??= start();
    worker.ref();
    const asked = Promise.withResolvers<Parsed | string>();
    waiting.set(++id, asked);
    worker.postMessage({ ...work, id } satisfies WorkerRequest);
    return asked.promise;
  };

  return {
    async parse(text) {
      if (text.length <= SMALL) return (await inPlace()).parse(text);
      const asked = ask({ kind: 'parse', text });
      const number = id;
      const parsed = (await asked) as Parsed;
      if (parsed.ok) known = { text, id: number };
      return parsed;
    },
    async splice(text, changes) {
      if (text.length <= SMALL) return (await inPlace()).splice(text, changes);
      const asked = ask({ kind: 'splice', text: known?.text === text && known.id === id ? null : text, changes });
      const number = id;
      const made = (await asked) as string;
      known = { text: made, id: number };
      return made;
    },
    async close() {
      if (idle !== null) clearTimeout(idle);
      await stop();
    },
  };
}
