// The launcher's parsers and the boot player's under libFuzzer, for a fixed number of inputs; test/fuzz/README.md has the open budget.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { buildFuzzer, corpusOf, fuzzEnvironment, type FuzzerName } from '../../../fuzz/fuzzers.ts';

const budgets: Readonly<Record<FuzzerName, number>> = { ops: 300_000, wire: 60_000, plan: 100_000, handover: 30_000 };

for (const [name, runs] of Object.entries(budgets) as [FuzzerName, number][]) {
  test(`${runs} inputs of the fuzzer ${name} break nothing`, { timeout: 600_000 }, () => {
    const program = buildFuzzer(name);
    const found = mkdtempSync(join(tmpdir(), 'northstate-fuzz-'));
    try {
      const options = [`-runs=${runs}`, '-max_len=8192', '-seed=1', `-artifact_prefix=${found}/`];
      const { status, stderr } = spawnSync(program, [...options, found, corpusOf(name)], {
        env: fuzzEnvironment,
        encoding: 'utf8',
        maxBuffer: 64 << 20,
      });
      assert.equal(status, 0, stderr.slice(-8000));
      assert.match(stderr, new RegExp(`Done ${runs} runs`));
    } finally {
      rmSync(found, { recursive: true });
    }
  });
}
