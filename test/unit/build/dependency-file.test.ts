// What a package was made of, as make reads it.
import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { writeDependencies } from '../../../src/build/dependency-file.ts';
import { run } from '../../support/command.ts';
import { scratchDirectory } from '../../support/console/scratch.ts';

test('names that make has words for are escaped: make itself finds them', async (context) => {
  const directory = await scratchDirectory(context);
  const root = join(directory, 'a b #1 $HOME');
  await mkdir(root);
  await writeFile(join(root, 'x y'), '');
  const depfile = join(directory, 'd');
  await writeDependencies(depfile, { target: 'all', files: [], trees: [root] });
  await writeFile(join(directory, 'Makefile'), 'include d\nall:\n\t@echo made\n');
  const { code, stdout, stderr } = await run('make', ['-C', directory, '--no-print-directory']);
  assert.deepEqual([code, stdout, stderr], [0, 'made\n', '']);
  assert.match(await readFile(depfile, 'utf8'), /a\\ b\\ \\#1\\ \$\$HOME\/x\\ y/);
});

test('a name that make cannot have is refused', async (context) => {
  const depfile = join(await scratchDirectory(context), 'd');
  for (const name of ['a:b', 'a\nb', '50%'])
    await assert.rejects(writeDependencies(depfile, { target: 'x', files: [name], trees: [] }), /make cannot have/);
});
