// The readers of packages, documents, configurations and messages under a fuzzer with coverage, for a fixed number of inputs;
// test/fuzz/README.md has the open budget.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { corpusOf } from '../../fuzz/fuzzers.ts';
import { hunt, inputsIn } from '../../fuzz/hunt.ts';
import { readerNames, readers, type Reader, type ReaderName } from '../../fuzz/readers.ts';

const budget: Readonly<Record<ReaderName, number>> = {
  package: 2_000,
  manifest: 600,
  document: 600,
  toml: 1_500,
  protocol: 2_000,
};

for (const name of readerNames) {
  test(`${budget[name]} inputs of the fuzzer ${name} break nothing, and reach what its corpus does not`, async () => {
    const { found, kept } = await hunt(readers[name], inputsIn(corpusOf(name)), { seed: 1, runs: budget[name] });
    assert.equal(found, null, found === null ? '' : `${String(found.error)}\n${found.input.toString('base64')}`);
    assert.ok(kept.length > 0, 'coverage leads nowhere');
  });
}

test('the fuzzer finds what lies behind three conditions, which chance alone does not', async () => {
  const hidden: Reader = {
    read(bytes) {
      if (bytes[0] !== 0x42) return;
      if (bytes[1] !== 0x55) return;
      if (bytes[2] === 0x47) throw new Error('found');
    },
    words: ['word'],
  };
  const ours = (url: string): boolean => url === import.meta.url;
  const { found } = await hunt(hidden, [Buffer.from('....')], { seed: 1, runs: 200_000, ours });
  assert.equal(found?.input.toString('latin1', 0, 3), 'BUG');
});
