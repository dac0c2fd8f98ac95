// Makes what a server serves: a document with the address and digest of each package, signed, beside the packages; with those that
// devices have, delta files as well.
//
//   make-bundle.ts --document FILE --url URL --key SECRET_KEY --out DIR [--before OLD_PACKAGE]... PACKAGE...
import { createHash } from 'node:crypto';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { parseDocument } from 'yaml';
import { makeDelta } from '../../src/fetch/delta/make-delta.ts';
import { inspect } from '../../src/npk/inspect-package.ts';
import { readSecretKey } from '../../src/npk/signature/keys.ts';
import { signInside } from '../../state/document/document-signature.ts';

// What goes wrong is said in a line, to whoever reads the build's log.
process.on('uncaughtException', (error) => {
  console.error(`ota: ${error.message}`);
  process.exit(1);
});

const { values, positionals: packages } = parseArgs({
  allowPositionals: true,
  options: {
    document: { type: 'string' },
    url: { type: 'string' },
    key: { type: 'string' },
    out: { type: 'string' },
    before: { type: 'string', multiple: true, default: [] },
  },
});
const { document: file, url, key, out, before } = values;
if (file === undefined || url === undefined || key === undefined || out === undefined) {
  const words = '--document FILE --url URL --key SECRET_KEY --out DIR [--before OLD_PACKAGE]... PACKAGE...';
  console.error(`usage: make-bundle.ts ${words}`);
  process.exit(2);
}
await mkdir(out, { recursive: true });
const document = parseDocument(await readFile(file, 'utf8'));
for (const path of packages) {
  const { name, version } = (await inspect(path)).manifest;
  const entry = [`${name}:${version}`, name].find((each) => document.hasIn(['containers', each]));
  if (entry === undefined) throw new Error(`${file} has no entry for ${name}:${version}`);
  await copyFile(path, join(out, basename(path)));
  const address = new URL(basename(path), url.endsWith('/') ? url : `${url}/`).href;
  document.setIn(['containers', entry, 'source'], address);
  const digest = createHash('sha256')
    .update(await readFile(path))
    .digest('hex');
  document.setIn(['containers', entry, 'digest'], `sha256:${digest}`);
  for (const old of before) if ((await inspect(old)).manifest.name === name) await makeDelta(old, path, { out });
}
const text = document.toString().trimEnd();
const ended = text.endsWith('\n...') ? `${text}\n` : `${text}\n...\n`;
await writeFile(join(out, 'desired.yaml'), signInside(ended, await readSecretKey(key)));
