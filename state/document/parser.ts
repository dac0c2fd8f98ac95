// Reading and splicing documents without holding up the main loop: small ones in place, big ones in a worker thread, and of big
// ones in which only some entries are new those alone, in place again.
import { Worker } from 'node:worker_threads';
import type { Built } from '../schema/build-desired.ts';
import type { Configured, Desired } from '../desired.ts';
import type { DocumentWork, KnownText, OutlineOfText } from './document-work.ts';
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
  /** The text with changes made in it, which says what was `written` then, where that is known. Rejects when that cannot be done. */
  splice(text: string, changes: readonly TreeChange[], written: Built | null): Promise<string>;
  /** Ends the worker. What is still asked of it is rejected. */
  close(): Promise<void>;
}

type Work =
  | { readonly kind: 'parse'; readonly text: string }
  /** `text` null: the one that the worker gave or was given last. */
  | { readonly kind: 'splice'; readonly text: string | null; readonly changes: readonly TreeChange[] };
export type WorkerRequest = Work & { readonly id: number };
export type WorkerReply =
  | { readonly id: number; readonly result: Parsed | string; readonly outline: OutlineOfText | null }
  | { readonly id: number; readonly error: string };

/** Makes a parser. The worker is started when a big document first comes, and ends when none has come for a while. */
export function createParser(configured: Configured): Parser {
  let here: Promise<DocumentWork> | null = null;
  let worker: Worker | null = null;
  let idle: NodeJS.Timeout | null = null;
  let id = 0;
  // What the worker has read last: sending a big text costs more than everything else that the main loop does.
  let known: { readonly text: string; readonly id: number } | null = null;
  /** The big text that was read last, where parts of it can be read by themselves. */
  let outlined: KnownText | null = null;
  const waiting = new Map<number, PromiseWithResolvers<Extract<WorkerReply, { outline: unknown }>>>();

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
      else asked?.resolve(reply);
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

  const ask = (work: Work): Promise<Extract<WorkerReply, { outline: unknown }>> => {
    if (idle !== null) clearTimeout(idle);
    worker ??= start();
    worker.ref();
    const asked = Promise.withResolvers<Extract<WorkerReply, { outline: unknown }>>();
    waiting.set(++id, asked);
    worker.postMessage({ ...work, id } satisfies WorkerRequest);
    return asked.promise;
  };

  return {
    async parse(text) {
      if (text.length <= SMALL) return (await inPlace()).parse(text);
      const part = outlined === null ? null : (await inPlace()).parsePart(outlined, text);
      if (part !== null) {
        outlined = part;
        const { tree, desired, endMark } = part;
        return { ok: true, tree, desired, endMark };
      }
      const asked = ask({ kind: 'parse', text });
      const number = id;
      const { result, outline } = await asked;
      const parsed = result as Parsed;
      if (!parsed.ok) return parsed;
      known = { text, id: number };
      const { tree, desired, endMark } = parsed;
      outlined = outline === null ? null : { text, tree, desired, endMark, outline: outline.outline };
      return parsed;
    },
    async splice(text, changes, written) {
      if (text.length <= SMALL) return (await inPlace()).splice(text, changes);
      const part = outlined?.text === text ? (await inPlace()).splicePart(outlined, changes) : null;
      if (part !== null) {
        outlined = part;
        return part.text;
      }
      const asked = ask({ kind: 'splice', text: known?.text === text && known.id === id ? null : text, changes });
      const number = id;
      const { result, outline } = await asked;
      const made = result as string;
      known = { text: made, id: number };
      outlined =
        outline === null || written === null
          ? null
          : { ...outline, text: made, tree: written.tree, desired: asRead(written.desired) };
      return made;
    },
    async close() {
      if (idle !== null) clearTimeout(idle);
      await stop();
    },
  };
}

/** What whoever reads the text finds in it, whoever has written it. */
function asRead({ containers, ...rest }: Desired): Desired {
  const nobodys = { generation: 0, writtenBy: 'person', changedBy: 'person', uninstalling: false } as const;
  return { ...rest, containers: new Map([...containers].map(([key, entry]) => [key, { ...entry, ...nobodys }])) };
}
