// What a release is made of: a bill of materials (CycloneDX 1.6) and the copyright file with every licence's text.
import { createHash } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readLock } from './release-packages.ts';

export interface Part {
  readonly name: string;
  readonly version: string;
  /** SPDX expression. */
  readonly license: string;
  /** A package URL, which names where it comes from. */
  readonly purl: string;
  /** The text of the licence. */
  readonly text: string;
}

/** The C library and the compiler's, which are linked into the launcher. */
const linked = [
  {
    name: 'glibc',
    license: 'LGPL-2.1-or-later',
    text: 'The GNU C Library is linked statically into northstate-launcher. Its source and the text of the licence come with Debian (package glibc, /usr/share/common-licenses/LGPL-2.1); the launcher can be linked anew with its sources in native/launcher.',
  },
  {
    name: 'libgcc',
    license: 'GPL-3.0-or-later WITH GCC-exception-3.1',
    text: 'The run-time library of the GNU Compiler Collection, under the GCC Runtime Library Exception (Debian: /usr/share/common-licenses/GPL-3).',
  },
];

/** Every part of a release for a device: ourselves, Node, the npm packages in the bundle, what is linked into the launcher. */
export async function partsOf(root: string, version: string, node: string): Promise<readonly Part[]> {
  const packages = [...(await readLock(root))].filter(([, { dev, optional }]) => dev !== true && optional !== true);
  const bundled = packages.map(async ([path, { version: at, license = 'NOASSERTION' }]) => {
    const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
    const text = await licenceText(join(root, path));
    return { name, version: at, license, purl: `pkg:npm/${name.replace('@', '%40')}@${at}`, text };
  });
  const engine = join(root, 'node_modules', `node-linux-${process.arch}`);
  return [
    {
      ...{ name: 'northstate', version, license: 'Apache-2.0', purl: `pkg:generic/northstate@${version}` },
      text: await readFile(join(root, 'LICENSE'), 'utf8'),
    },
    {
      ...{ name: 'node', version: node, license: 'MIT', purl: `pkg:generic/node@${node}` },
      text: await licenceText(engine),
    },
    ...(await Promise.all(bundled)),
    ...linked.map((part) => ({ ...part, version: 'as of the build machine', purl: `pkg:generic/${part.name}` })),
  ];
}

async function licenceText(folder: string): Promise<string> {
  const file = existsSync(folder) ? readdirSync(folder).find((name) => /^licen[cs]e/i.test(name)) : undefined;
  if (file !== undefined) return readFile(join(folder, file), 'utf8');
  const described = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as { license: string };
  return `The package holds no text of its licence; its package.json says: ${described.license}.`;
}

/** The copyright file, in Debian's machine-readable form. */
export function renderCopyright(parts: readonly Part[]): string {
  const paragraphs = parts.map(({ name, version, license, text }, index) =>
    [
      `Files: ${index === 0 ? '*' : `${name} ${version}`}`,
      `Copyright: ${copyrightLines(text).join('\n ')}`,
      `License: ${license}`,
      ...text.trimEnd().split('\n').map(indented),
    ].join('\n'),
  );
  const head = 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: northstate';
  return `${[head, ...paragraphs].join('\n\n')}\n`;
}

function copyrightLines(text: string): string[] {
  const found = text
    .match(/^[ *]*copyright \(?(c\)|©|\d{4}|20).*$/gim)
    ?.map((line) => line.replace(/^[ *]+/, '').trim());
  return [...new Set(found ?? ['the authors of this part'])].slice(0, 5);
}

/** A line of a paragraph's text: a space before it, a stop where it is empty. */
function indented(line: string): string {
  const text = line.trimEnd();
  return text === '' ? ' .' : ` ${text}`;
}

/** The bill of materials as JSON. `time` is in seconds since 1970; the serial number follows from the parts. */
export function renderBill(parts: readonly Part[], time: number): string {
  const [ours, ...others] = parts.map(({ name, version, license, purl }) => ({
    type: name === 'northstate' ? 'application' : 'library',
    'bom-ref': purl,
    ...{ name, version, purl },
    licenses: [license.includes(' ') ? { expression: license } : { license: { id: license } }],
  }));
  const digest = createHash('sha256').update(JSON.stringify(others)).digest('hex');
  const [a, b, c, d] = [digest.slice(0, 8), digest.slice(8, 12), digest.slice(13, 16), digest.slice(17, 20)];
  const bill = {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    serialNumber: `urn:uuid:${a}-${b}-5${c}-8${d}-${digest.slice(20, 32)}`,
    version: 1,
    metadata: { timestamp: new Date(time * 1000).toISOString(), component: ours },
    components: others,
    dependencies: [{ ref: ours?.['bom-ref'], dependsOn: others.map((part) => part['bom-ref']) }],
  };
  return `${JSON.stringify(bill, null, 2)}\n`;
}
