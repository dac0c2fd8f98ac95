// Which parts of our own sources a run has reached: V8's precise block coverage, read in this very thread.
import { Session, type Profiler } from 'node:inspector';

export interface Coverage {
  /** Whether anything has run since the last call, of either kind, that never ran before; it still counts as new afterwards. */
  peek(): boolean;
  /** The same, and from now on it is known. */
  take(): boolean;
  /** Characters of our sources that are known to have run. */
  known(): number;
  close(): void;
}

/** Begins to count. `ours` says which scripts count, by their URL. */
export function watchCoverage(ours: (url: string) => boolean): Coverage {
  const session = new Session();
  session.connect();
  session.post('Profiler.enable');
  session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  const known = new Map<string, Uint8Array>();
  let count = 0;

  /** The functions that ran since the last call. In the same thread the answer is there before `post` returns. */
  function ran(): { script: string; ranges: Profiler.CoverageRange[] }[] {
    let taken: Profiler.ScriptCoverage[] = [];
    session.post('Profiler.takePreciseCoverage', (error, { result }) => {
      if (error !== null) throw error;
      taken = result;
    });
    return taken
      .filter(({ url }) => ours(url))
      .flatMap(({ scriptId, functions }) => functions.map(({ ranges }) => ({ script: scriptId, ranges })))
      .filter(({ ranges }) => (ranges[0]?.count ?? 0) > 0);
  }

  /** Calls `found` for each stretch of a script that ran and was not known; the ranges of a function are nested, outer first. */
  function compare(found: (script: Uint8Array, from: number, ranText: Uint8Array) => boolean): boolean {
    let any = false;
    for (const { script, ranges } of ran()) {
      const [whole] = ranges;
      if (whole === undefined) continue;
      const { startOffset: from, endOffset: to } = whole;
      const text = new Uint8Array(to - from);
      for (const { startOffset, endOffset, count: times } of ranges) {
        text.fill(times > 0 ? 1 : 0, startOffset - from, endOffset - from);
      }
      any = found(knownOf(script, to), from, text) || any;
    }
    return any;
  }

  function knownOf(script: string, size: number): Uint8Array {
    const before = known.get(script);
    if (before !== undefined && before.length >= size) return before;
    const grown = new Uint8Array(Math.max(size, 2 * (before?.length ?? 0)));
    if (before !== undefined) grown.set(before);
    known.set(script, grown);
    return grown;
  }

  return {
    peek: () => compare((script, from, text) => text.some((is, at) => is === 1 && script[from + at] === 0)),
    take: () =>
      compare((script, from, text) => {
        const before = count;
        text.forEach((is, at) => {
          if (is === 0 || script[from + at] === 1) return;
          script[from + at] = 1;
          count += 1;
        });
        return count > before;
      }),
    known: () => count,
    close() {
      session.post('Profiler.stopPreciseCoverage');
      session.disconnect();
    },
  };
}
