// Opening what a path names: nothing but a regular file, and never waiting for it.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openRegular } from '../../../native/file.ts';
import { readKeys } from '../../../src/npk/signature/keys.ts';
import { run } from '../../support/command.ts';

test('a fifo, a device and a directory are refused at once, a file is read', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'northstate-file-'));
  try {
    const fifo = join(directory, 'fifo');
    const file = join(directory, 'file');
    await run('mkfifo', [fifo]);
    await writeFile(file, 'text');
    for (const path of [fifo, '/dev/zero', directory]) {
      await assert.rejects(openRegular(path), new Error(`${path} is no regular file`));
    }
    await assert.rejects(readKeys(fifo), new Error(`${fifo} is no regular file`));
    await assert.rejects(openRegular(join(directory, 'none')), { code: 'ENOENT' });
    await using handle = await openRegular(file);
    assert.equal(await handle.readFile('utf8'), 'text');
  } finally {
    await rm(directory, { recursive: true });
  }
});
