// npm run bench [NAME...] [-- --json FILE]: runs the benchmarks named (all by default) one after the other and prints
// their rows. They measure; nothing here passes or fails but a benchmark that cannot run.
import { readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { endOnSignals } from './end-on-signals.ts';
import { table, type Row } from './measure.ts';

interface Bench {
  bench(): AsyncIterable<Row>;
}

const { values, positionals } = parseArgs({ options: { json: { type: 'string' } }, allowPositionals: true });
const suffix = '.bench.ts';
const known = (await readdir(import.meta.dirname))
  .filter((file) => file.endsWith(suffix))
  .map((file) => file.slice(0, -suffix.length));
const unknown = positionals.filter((name) => !known.includes(name));
if (unknown.length > 0) throw new Error(`no benchmark ${unknown.join(', ')}: there are ${known.join(', ')}`);

const isEnded = endOnSignals();
const rows: Row[] = [];
for (const name of positionals.length > 0 ? positionals : known) {
  if (isEnded()) break;
  const module = (await import(path.join(import.meta.dirname, name + suffix))) as Bench;
  for await (const each of module.bench()) {
    rows.push(each);
    process.stderr.write(`${each.bench} ${each.case}: ${each.p50.toFixed(3)} ${each.unit}\n`);
    if (isEnded()) break;
  }
}
process.stdout.write(`${table(rows)}\n`);
if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(rows, null, 1)}\n`);
