// Memory at rest. V8 gives back what a burst of work took only when it looks again, and its own looking (the memory reducer, which
// src/cli/run.ts turns off) goes on for ever. Here a collection of V8's own says that there was work; some time after the last one
// memory is collected once and given back, and then nothing wakes until there is work again. With it go pages of our program
// files, most of which (V8's snapshot, code that only a start runs) were read once: what is needed is in the page cache still.
import { PerformanceObserver } from 'node:perf_hooks';
import { releaseFilePages } from '../../native/file-pages.ts';
import { trimHeap } from '../../native/heap.ts';

/** ms without a collection until it counts as rest, and after which it is done under work that does not end. */
const quiet = 5_000;
const longest = 60_000;
/** Bytes by which the process must have grown since the last time: less is not worth the pause. */
const worthwhile = 8 << 20;

export interface SparePorts {
  /** What collects all garbage; undefined where V8 does not offer it (--expose-gc). */
  readonly collect: (() => void) | undefined;
  /** Resident bytes of this process. */
  readonly resident: () => number;
}

/** V8's, in its most thorough way: a plain collection keeps the room that garbage took. Undefined without --expose-gc. */
export function garbageCollector(): (() => void) | undefined {
  const { gc } = globalThis;
  return (
    gc &&
    (() => {
      gc({ type: 'major', execution: 'sync', flavor: 'last-resort' });
    })
  );
}

/** Begins to look after the memory of this process, whose start was work; gives the function that ends it. */
export function spareMemory({ collect, resident }: SparePorts): () => void {
  if (collect === undefined) return () => undefined;
  let timer: NodeJS.Timeout | null = null;
  let first = 0;
  let last = 0;
  let ours = 0;
  let atRest = 0;

  function look(): void {
    timer = null;
    const now = performance.now();
    const left = Math.min(last + quiet, first + longest) - now;
    if (left > 0) return arm(left);
    if (resident() - atRest < worthwhile) return;
    collect?.();
    trimHeap();
    releaseFilePages();
    ours = performance.now();
    atRest = resident();
  }

  function arm(delay: number): void {
    timer = setTimeout(look, delay).unref();
  }

  const observer = new PerformanceObserver((list) => {
    const latest = Math.max(...list.getEntries().map(({ startTime }) => startTime));
    // Those that look() made are told late.
    if (latest <= ours) return;
    last = latest;
    if (timer !== null) return;
    first = latest;
    arm(quiet);
  });
  observer.observe({ entryTypes: ['gc'] });
  first = last = performance.now();
  arm(quiet);
  return () => {
    observer.disconnect();
    if (timer !== null) clearTimeout(timer);
  };
}
