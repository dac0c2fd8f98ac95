// The tutorial: every block of it does what it says.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { northstate, run } from '../../support/command.ts';

const tutorial = await readFile(join(import.meta.dirname, '../../../examples/your-own.md'), 'utf8');
const blocks = [...tutorial.matchAll(/^## (.*)\n[\s\S]*?^```sh\n([\s\S]*?)^```$/gm)];

test('the tutorial has a block for each way', () => assert.equal(blocks.length, 4));

for (const [, title = '', code = ''] of blocks)
  test(`the tutorial's block does what it says: ${title}`, async () => {
    const work = await mkdtemp(join(tmpdir(), 'northstate-tutorial-'));
    try {
      // What another architecture does not have is left out, as the tutorial says.
      const here = process.arch === 'arm64' ? code.replaceAll(/^.*\/lib64.*\n/gm, '') : code;
      const PATH = `${dirname(northstate)}:${process.env['PATH'] ?? ''}`;
      const { code: status, stdout, stderr } = await run('sh', ['-e', '-c', `cd "$0"\n${here}`, work], { PATH });
      assert.equal(status, 0, `${stdout}${stderr}`);
    } finally {
      await rm(work, { recursive: true });
    }
  });
