// Two releases of the same sources are the same bytes, wherever they were made.
import assert from 'node:assert/strict';
import { cp, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { run } from '../../support/command.ts';
import { release } from '../../support/made-release.ts';

const root = join(import.meta.dirname, '../../..');
/** What a release is made from, and needs to be made. */
const sources = [
  ...['package.json', 'package-lock.json', 'tsconfig.json', 'README.md', 'LICENSE', '.github'],
  ...['src', 'state', 'controllers', 'native', 'examples'],
];

test('another directory, another time and another mask of the user make no difference', async () => {
  const work = await mkdtemp(join(tmpdir(), 'northstate-reproducible-'));
  // On the disk of the checkout, so that its packages can be linked to.
  const elsewhere = await mkdtemp(join(root, '.build/elsewhere-'));
  process.env['SOURCE_DATE_EPOCH'] = '1700000000';
  const mask = process.umask(0o077);
  try {
    for (const name of sources) await cp(join(root, name), join(elsewhere, 'a longer name', name), { recursive: true });
    const copy = join(elsewhere, 'a longer name');
    const linked = await run('cp', ['-al', join(root, 'node_modules'), copy]);
    assert.equal(linked.code, 0, linked.stderr);
    const made = await run('sh', [join(copy, 'native/setup.sh')]);
    assert.equal(made.code, 0, made.stderr);
    await mkdir(join(work, 'there'));
    await release(join(work, 'there'), { from: copy });
    process.umask(0o022);
    const names = await release(join(work, 'here'));
    assert.equal(names.length, 4);
    const sums = (folder: string): Promise<string> => readFile(join(work, folder, 'SHA256SUMS'), 'utf8');
    assert.equal(await sums('there'), await sums('here'));
  } finally {
    process.umask(mask);
    delete process.env['SOURCE_DATE_EPOCH'];
    await Promise.all([work, elsewhere].map((folder) => rm(folder, { recursive: true })));
  }
});
