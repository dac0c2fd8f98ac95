// What a benchmark gives: rows of percentiles, printed as a table with the ratio to the floor of the same run.
import { run } from '../support/command.ts';

/** One line of the result. `floor` names the case of the same bench that it is compared with. */
export interface Row {
  readonly bench: string;
  readonly case: string;
  readonly unit: string;
  readonly n: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly floor?: string;
}

/** The value below which the fraction `p` of the samples lies (nearest rank). */
export function percentile(samples: readonly number[], p: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const value = sorted[Math.min(sorted.length - 1, Math.ceil(p * sorted.length) - 1)];
  if (value === undefined) throw new Error('percentile of no samples');
  return value;
}

/** Makes a row of samples. */
export function row(bench: string, name: string, unit: string, samples: readonly number[], floor?: string): Row {
  return {
    bench,
    case: name,
    unit,
    n: samples.length,
    p50: percentile(samples, 0.5),
    p90: percentile(samples, 0.9),
    p99: percentile(samples, 0.99),
    ...(floor === undefined ? {} : { floor }),
  };
}

/** The samples of so many rounds, one after the other. */
export async function repeated(measure: () => Promise<number>, times = 10): Promise<number[]> {
  const samples: number[] = [];
  for (let round = 0; round < times; round++) samples.push(await measure());
  return samples;
}

/** Runs a program that must succeed. */
export async function checked(command: string, args: readonly string[]): Promise<void> {
  const { code, stderr } = await run(command, args);
  if (code !== 0) throw new Error(`${command}: ${stderr}`);
}

function digits(value: number): string {
  if (value === 0) return '0';
  return value >= 100 ? value.toFixed(0) : value.toFixed(value >= 10 ? 1 : 3);
}

/** The rows as text, with `x floor` where a row names one: the ratio of the medians. */
export function table(rows: readonly Row[]): string {
  const header = ['bench', 'case', 'unit', 'n', 'p50', 'p90', 'p99', 'x floor'];
  const lines = rows.map((each) => {
    const floor = rows.find((other) => other.bench === each.bench && other.case === each.floor);
    const ratio = floor && floor.p50 > 0 ? (each.p50 / floor.p50).toFixed(2) : '';
    return [
      each.bench,
      each.case,
      each.unit,
      String(each.n),
      digits(each.p50),
      digits(each.p90),
      digits(each.p99),
      ratio,
    ];
  });
  const all = [header, ...lines];
  const widths = header.map((_, column) => Math.max(...all.map((line) => line[column]?.length ?? 0)));
  return all
    .map((line) =>
      line.map((cell, i) => (i < 3 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  '),
    )
    .join('\n');
}
