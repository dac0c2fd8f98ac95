// The hunt for inputs that break a reader: what reaches something new is kept and spoiled further.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createRandom } from '../sim/random.ts';
import { watchCoverage } from './coverage.ts';
import { mutate } from './mutate.ts';
import type { Reader } from './readers.ts';

/** Inputs between two looks at what they have reached: a look costs as much as some of them. */
const batch = 64;
/** Our sources, as scripts of V8. */
const own = (url: string): boolean => /\/(?:src|state)\/[^?]+\.ts$/.test(url) && !url.includes('/node_modules/');
/** ms that an input may take. */
const slowest = 5_000;

export interface HuntOptions {
  readonly seed: number;
  readonly runs: number;
  readonly signal?: AbortSignal;
  readonly keep?: (input: Buffer) => void;
  /** Which scripts count, by their URL; our sources when left out. */
  readonly ours?: (url: string) => boolean;
}

export interface Found {
  readonly input: Buffer;
  readonly error: unknown;
}

export interface Hunt {
  readonly runs: number;
  readonly milliseconds: number;
  /** Characters of our sources that were reached. */
  readonly reached: number;
  /** Inputs beyond the corpus that reached something new, in their order. */
  readonly kept: readonly Buffer[];
  /** The first input that broke something, null when none did. */
  readonly found: Found | null;
}

/** The inputs in a directory, by their names. */
export function inputsIn(directory: string): Buffer[] {
  return readdirSync(directory)
    .sort()
    .map((name) => readFileSync(join(directory, name)));
}

/**
 * Runs a reader on a corpus and on what comes of it, `runs` inputs in all or until the signal. The same seed, corpus and sources
 * give the same inputs. `keep` is told of each input that is kept.
 */
export async function hunt(
  reader: Reader,
  corpus: readonly Buffer[],
  { seed, runs, signal, keep, ours = own }: HuntOptions,
): Promise<Hunt> {
  const random = createRandom(seed);
  const words = reader.words.map((word) => Buffer.from(word, 'latin1'));
  const coverage = watchCoverage(ours);
  const pool = [...corpus];
  const kept: Buffer[] = [];
  const began = performance.now();
  let done = 0;
  const finds: Found[] = [];

  async function tryOne(input: Buffer): Promise<void> {
    const started = performance.now();
    try {
      await reader.read(Buffer.from(input));
      const took = performance.now() - started;
      if (took > slowest) throw new Error(`it took ${took.toFixed(0)} ms`);
    } catch (error) {
      finds.push({ input, error });
    }
    done += 1;
  }

  function next(): Buffer {
    // What was kept last leads on more often than what leads nowhere any more.
    const from = random.pick(random.chance(0.5) ? pool.slice(-8) : pool);
    const spoiled = mutate(from, random, pool, words);
    return reader.mend !== undefined && random.chance(0.7) ? reader.mend(spoiled) : spoiled;
  }

  try {
    for (const input of pool) await tryOne(input);
    coverage.take();
    while (done < runs && finds.length === 0 && signal?.aborted !== true) {
      const inputs = Array.from({ length: batch }, next);
      for (const input of inputs) await tryOne(input);
      await new Promise((resolve) => setImmediate(resolve));
      if (!coverage.peek()) continue;
      // Which of them it was is asked only when there was something.
      for (const input of inputs) {
        await tryOne(input);
        if (!coverage.take()) continue;
        kept.push(input);
        pool.push(input);
        keep?.(input);
      }
    }
    return {
      runs: done,
      milliseconds: performance.now() - began,
      reached: coverage.known(),
      kept,
      found: finds[0] ?? null,
    };
  } finally {
    coverage.close();
  }
}
