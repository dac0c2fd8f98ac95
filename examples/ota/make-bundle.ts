// Makes a bundle in a directory that an HTTP server can serve as it is.
//
//   make-bundle.ts --document FILE --repository NAME --key SECRET_KEY --out DIR PACKAGE...
import { createHash } from 'node:crypto';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { inspect } from '../../src/npk/inspect-package.ts';
import { signBundle, type Bundle, type BundledPackage } from './ota-bundle.ts';

// What goes wrong is said in a line, to whoever reads the build's log.
process.on('uncaughtException', (error) => {
  console.error(`ota: ${error.message}`);
  process.exit(1);
});

const { values, positionals: packages } = parseArgs({
  allowPositionals: true,
  options: {
    document: { type: 'string' },
    repository: { type: 'string' },
    key: { type: 'string' },
    out: { type: 'string' },
  },
});
const { document, repository, key, out } = values;
if (document === undefined || repository === undefined || key === undefined || out === undefined) {
  console.error('usage: make-bundle.ts --document FILE --repository NAME --key SECRET_KEY --out DIR PACKAGE...');
  process.exit(2);
}
await mkdir(out, { recursive: true });
const bundle: Bundle = {
  format: 1,
  document: await readFile(document, 'utf8'),
  packages: await Promise.all(packages.map((path) => add(path, repository, out))),
};
const bytes = Buffer.from(JSON.stringify(bundle, null, 1));
await writeFile(join(out, 'bundle.json'), bytes);
await writeFile(join(out, 'bundle.sig'), signBundle(bytes, await readFile(key)));

async function add(path: string, into: string, folder: string): Promise<BundledPackage> {
  const { name, version } = await inspect(path).then(({ manifest }) => manifest);
  const content = await readFile(path);
  const file = basename(path);
  await copyFile(path, join(folder, file));
  const sha256 = createHash('sha256').update(content).digest('hex');
  return { file, container: `${name}:${version}`, repository: into, size: content.length, sha256 };
}
