// What is fuzzed of the TypeScript: each reads what a package, a document, a configuration or a client brings. An error that
// is not the reader's own is a finding, and so is a result that does not survive being written and read again.
import assert from 'node:assert/strict';
import { crc32 } from 'node:zlib';
import { ConfigurationError } from '../../src/config/configuration-error.ts';
import { readNorthstarToml } from '../../src/config/northstar-toml.ts';
import { Malformed, parseMessage } from '../../src/console/protocol/json.ts';
import { readConnect, readRequest, requestMessage } from '../../src/console/protocol/protocol.ts';
import { readManifest } from '../../src/npk/manifest/read-manifest.ts';
import { readContent } from '../../src/npk/open-package.ts';
import { PackageError } from '../../src/npk/package-error.ts';
import { parseDocument } from '../../state/document/parse-document.ts';
import { memory } from '../unit/npk/archives.ts';

export interface Reader {
  /** Reads an input; throws or rejects with what nobody may. */
  read(bytes: Buffer): Promise<void> | void;
  /** Pieces that inputs are made of. */
  readonly words: readonly string[];
  /** Makes a spoiled input whole in one respect, so that what lies behind a checksum is reached, too. */
  readonly mend?: (bytes: Buffer) => Buffer;
}

const texts = [
  '\n',
  '  ',
  ': ',
  '- ',
  ', ',
  '{',
  '}',
  '[',
  ']',
  '"',
  "'",
  '#',
  '|\n',
  '>\n',
  '&a ',
  '*a',
  '!x ',
  '---\n',
];
const scalars = [
  '0',
  '-1',
  '1e3',
  '18446744073709551616',
  'null',
  'true',
  '~',
  '1.2.3',
  '^1',
  '../x',
  '/a',
  'Ã¼',
  '\0',
];
const names = ['__proto__', 'constructor', 'a:1.0.0', 'name', 'version'];

async function refusing(refusal: new (...of: never[]) => Error, read: () => unknown): Promise<void> {
  try {
    await read();
  } catch (error) {
    if (!(error instanceof refusal)) throw error;
  }
}

export const readers = {
  package: {
    read: (bytes) => refusing(PackageError, () => readContent(memory(bytes), null)),
    words: [
      'PK\x01\x02',
      'PK\x03\x04',
      'PK\x05\x06',
      'PK\x06\x06',
      'PK\x06\x07',
      'manifest.yaml',
      'signature.yaml',
      'fs.img',
    ],
    mend: mendChecksums,
  },
  manifest: {
    async read(bytes) {
      for (const old of [false, true]) await refusing(PackageError, () => readManifest(bytes, { old }));
    },
    words: [
      ...texts,
      ...scalars,
      ...names,
      'mounts: ',
      'type: bind',
      'seccomp: ',
      '!fifo ',
      'arg0 == 1 || ',
      '[[',
      ' = ',
    ],
  },
  document: {
    read(bytes) {
      const text = bytes.toString();
      const result = parseDocument(text);
      if (!result.ok) assert.ok(result.error.line >= 0 && result.error.message !== '');
    },
    words: [
      ...texts,
      ...scalars,
      ...names,
      'apiVersion: northstate/v1\n',
      'containers:\n',
      'repositories:\n',
      'state: ',
      '...\n',
    ],
  },
  toml: {
    read: (bytes) => refusing(ConfigurationError, () => readNorthstarToml(bytes.toString(), 'northstar.toml')),
    words: [
      ...texts,
      ...scalars,
      ...names,
      '[[',
      ']]',
      ' = ',
      '"""',
      "'''",
      '[repositories.a]\n',
      '1979-05-27T07:32:00Z',
    ],
  },
  protocol: {
    read(bytes) {
      const line = bytes.toString();
      for (const read of [readConnect, readRequest]) {
        try {
          const found = read(parseMessage(line));
          if ('name' in found)
            assert.deepEqual(readRequest(parseMessage(JSON.stringify(requestMessage(found)))), found);
        } catch (error) {
          if (!(error instanceof Malformed)) throw error;
        }
      }
    },
    words: [
      ...scalars,
      ...names,
      '{"request":',
      '"',
      '\\u0000',
      '\\',
      '{',
      '}',
      '[',
      ']',
      ':',
      ',',
      '"container":',
      '1e999',
    ],
  },
} as const satisfies Record<string, Reader>;

export type ReaderName = keyof typeof readers;
export const readerNames = Object.keys(readers) as ReaderName[];

/** The checksums of stored entries, in their local headers and in the directory. */
function mendChecksums(bytes: Buffer): Buffer {
  for (let at = bytes.indexOf('PK\x01\x02'); at >= 0; at = bytes.indexOf('PK\x01\x02', at + 4)) {
    if (at + 46 > bytes.length) break;
    const local = bytes.readUInt32LE(at + 42);
    if (local + 30 > bytes.length) continue;
    const data = local + 30 + bytes.readUInt16LE(local + 26) + bytes.readUInt16LE(local + 28);
    const crc = crc32(bytes.subarray(data, data + bytes.readUInt32LE(at + 24)));
    bytes.writeUInt32LE(crc, at + 16);
    bytes.writeUInt32LE(crc, local + 14);
  }
  return bytes;
}
