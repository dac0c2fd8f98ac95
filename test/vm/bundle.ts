// The programs of the tests as JavaScript: in software emulation, stripping types and reading hundreds of small files take
// longer than the tests themselves. Each keeps its place and its name; load.mjs has Node take it as it is.
import { build, type Plugin } from 'esbuild';
import { readFile } from 'node:fs/promises';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '../..');

/** Where the checkout lies in the guest. */
export const guestRoot = '/northstate';

/** Writes the programs (paths below the checkout) and what they import below `folder`. Rejects when one does not compile. */
export async function bundle(programs: readonly string[], folder: string): Promise<void> {
  await build({
    absWorkingDir: root,
    entryPoints: [...programs],
    outdir: folder,
    outbase: root,
    outExtension: { '.js': '.ts' },
    chunkNames: 'chunks/[name]-[hash]',
    ...{ bundle: true, splitting: true, format: 'esm', platform: 'node', target: 'node24', external: ['koffi'] },
    banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' },
    logLevel: 'warning',
    plugins: [places],
  });
}

/** A module that asks where it lies is told where it would lie in the guest, not where the bundle with it does. */
const places: Plugin = {
  name: 'places',
  setup(esbuild) {
    esbuild.onLoad({ filter: /\.ts$/, namespace: 'file' }, async ({ path: file }) => {
      if (file.includes('/node_modules/')) return null;
      const place = path.join(guestRoot, path.relative(root, file));
      const contents = (await readFile(file, 'utf8'))
        .replaceAll('import.meta.dirname', JSON.stringify(path.dirname(place)))
        .replaceAll('import.meta.url', JSON.stringify(`file://${place}`));
      return { contents, loader: 'ts' };
    });
  },
};
