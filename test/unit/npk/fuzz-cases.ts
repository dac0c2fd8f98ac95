// One case of fuzzing for each seed: a package, signature, manifest or key file is spoiled and read. Whatever comes out, it is
// a result or an error with a reason; fuzz-watch.ts sees to time and memory.
import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PackageError } from '../../../src/npk/package-error.ts';
import type { Hasher } from '../../../src/npk/image/hasher.ts';
import { inspect, inspectText } from '../../../src/npk/inspect-package.ts';
import { publicKeyOf, rawSecretKey, readKeys } from '../../../src/npk/signature/keys.ts';
import { readManifest } from '../../../src/npk/manifest/read-manifest.ts';
import { pack } from '../../../src/npk/pack.ts';
import { readPackage } from '../../../src/npk/open-package.ts';
import { signatureYaml } from '../../../src/npk/signature/sign.ts';
import { parseSignature } from '../../../src/npk/signature/signature.ts';
import { verifyPackage } from '../../../src/npk/verify-package.ts';
import { createRandom, type Random } from '../../sim/random.ts';
import { archive, extraField, type Part } from './archives.ts';
import { manifests, words } from './fuzz-words.ts';

/** Good inputs, to be spoiled. */
export interface Corpus {
  /** A directory for the files of cases. */
  readonly work: string;
  readonly secret: KeyObject;
  readonly packages: readonly Buffer[];
  readonly images: readonly Buffer[];
  readonly signature: Buffer;
  readonly pem: Buffer;
}

/** Makes the good inputs in a directory. */
export async function makeCorpus(work: string): Promise<Corpus> {
  const { privateKey: secret, publicKey } = generateKeyPairSync('ed25519');
  const key = join(work, 'secret.key');
  await writeFile(key, rawSecretKey(secret));
  const root = join(work, 'root');
  await mkdir(root);
  for (const size of [0, 9000, 700_000])
    await writeFile(join(root, `file-${size}`), randomBytes(createRandom(1), size));
  const manifest = join(work, 'manifest.yaml');
  await writeFile(manifest, manifests[0] ?? '');
  const packages: Buffer[] = [];
  const images: Buffer[] = [];
  for (const how of [{ key }, {}, { key, root }, { key, fs: 'erofs' as const }]) {
    const { path } = await pack({ manifest, out: join(work, 'good.npk'), ...how });
    const { image } = await readPackage(path);
    const bytes = await readFile(path);
    packages.push(bytes);
    images.push(bytes.subarray(image.offset, image.offset + image.size));
  }
  const signed = {
    comment: 'version: 0.9.2\n',
    manifest: manifests[0] ?? '',
    rootHash: '0'.repeat(64),
    verityOffset: 4096,
  };
  const signature = Buffer.from(signatureYaml(signed, secret));
  const pem = Buffer.from(publicKey.export({ format: 'pem', type: 'spki' }));
  return { work, secret, packages, images, signature, pem };
}

/** Runs the case of a seed; gives what came out in a word. Throws when that is neither a result nor an error with a reason. */
export async function fuzzOnce(seed: number, corpus: Corpus, hasher: Hasher): Promise<string> {
  const random = createRandom(seed);
  const target = random.pick(targets);
  try {
    await target(random, corpus, hasher);
    return `${target.name}: read`;
  } catch (error) {
    if (error instanceof PackageError) return `${target.name}: ${error.reason}`;
    if (target === keyFile && error instanceof Error && error.message.includes('is no ed25519 key'))
      return 'keyFile: refused';
    throw error;
  }
}

type Target = (random: Random, corpus: Corpus, hasher: Hasher) => Promise<void>;

const wholePackage: Target = async (random, corpus, hasher) => {
  await readAll(spoiled(random, random.pick(corpus.packages)), random, corpus, hasher);
};

/** Spoiled before it is signed and packed, so that what lies behind the signature is reached. */
const signedPackage: Target = async (random, { images, secret, ...corpus }, hasher) => {
  const comment = random.chance(0.9)
    ? 'version: 0.9.2\n'
    : spoiled(random, Buffer.from('version: 0.9.2\n')).toString('latin1');
  const manifest = random.chance(0.5) ? random.pick(manifests) : spoiledText(random, random.pick(manifests));
  const good = random.pick(images);
  const image = random.chance(0.3) ? good : spoiled(random, good);
  const end = good.indexOf('verity\0\0');
  const verityOffset = random.chance(0.8) ? Math.max(end, 0) : random.pick([0, 1, 4096, 2 ** 31, 2 ** 53, -1]);
  const top = good.subarray(end + 4096, end + 8192);
  const salt = good.subarray(end + 88, end + 120);
  const rootHash = createHash('sha256').update(salt).update(top).digest('hex');
  const signature = signatureYaml({ comment, manifest, rootHash, verityOffset }, secret);
  const before = 3 * 30 + 'manifest.yamlsignature.yamlfs.img'.length + Buffer.byteLength(manifest) + signature.length;
  const extra = extraField(0xa11e, Buffer.alloc((8192 - ((before + 4) % 4096)) % 4096));
  const parts: Part[] = [
    { name: 'manifest.yaml', data: random.chance(0.9) ? manifest : `${manifest}#` },
    { name: 'signature.yaml', data: signature },
    { name: 'fs.img', data: image, extra },
  ];
  if (random.chance(0.1)) parts.push({ name: random.pick(['../x', 'manifest.yaml', 'x', '/etc/x']), data: 'x' });
  if (random.chance(0.05)) parts.splice(random.between(0, parts.length - 1), 1);
  await readAll(archive(parts, comment), random, { ...corpus, images, secret }, hasher);
};

const signatureText: Target = async (random, { signature }) => {
  await parseSignature(spoiled(random, signature));
};

const manifestText: Target = async (random) => {
  const text = spoiledText(random, random.pick(manifests));
  const bytes = random.chance(0.1) ? spoiled(random, Buffer.from(text)) : Buffer.from(text);
  await readManifest(bytes, { old: random.chance(0.3) });
};

const keyFile: Target = async (random, { pem, work }) => {
  const path = join(work, 'case.pub');
  await writeFile(path, spoiled(random, pem));
  await readKeys(path);
};

const targets = [wholePackage, signedPackage, signedPackage, signatureText, manifestText, manifestText, keyFile];

/** As the commands and the runtime read it. */
async function readAll(bytes: Buffer, random: Random, { work, secret }: Corpus, hasher: Hasher): Promise<void> {
  const path = join(work, 'case.npk');
  await writeFile(path, bytes);
  const keys = random.chance(0.7) ? [publicKeyOf(secret)] : null;
  const shown = await inspect(path).catch((error: unknown) => {
    assert.ok(error instanceof PackageError, String(error));
    return null;
  });
  if (shown !== null) inspectText(shown);
  await verifyPackage(path, { keys, hasher });
}

function spoiled(random: Random, good: Buffer): Buffer {
  let bytes: Buffer = Buffer.from(good);
  for (let edits = random.between(1, 6); edits > 0; edits--) bytes = edited(random, bytes);
  return bytes;
}

function edited(random: Random, bytes: Buffer): Buffer {
  const at = placeIn(random, bytes);
  const length = random.between(0, random.chance(0.5) ? 16 : bytes.length - at);
  switch (random.between(0, 7)) {
    case 0: // a bit
      if (at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ (1 << random.between(0, 7));
      return bytes;
    case 1: // a number
    case 2:
      return overwritten(bytes, at, random.pick(numbers));
    case 3: // gone
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
    case 4: // twice
      return Buffer.concat([bytes.subarray(0, at + length), bytes.subarray(at)]);
    case 5: // elsewhere
      return overwritten(bytes, placeIn(random, bytes), bytes.subarray(at, at + length));
    case 6: // cut off
      return random.chance(0.2) ? bytes.subarray(0, at) : bytes;
    default: // noise
      return overwritten(bytes, at, randomBytes(random, random.between(1, 12)));
  }
}

const numbers = [0, 1, 22, 0x7f, 0xff, 0xffff, 0x7fffffff, 0xffffffff, 2 ** 40].flatMap((value) => {
  const wide = Buffer.alloc(8);
  wide.writeBigUInt64LE(BigInt(value));
  return [1, 2, 4, 8].map((width) => wide.subarray(0, width));
});

/** Near a header more often than anywhere. */
function placeIn(random: Random, bytes: Buffer): number {
  const mark = random.pick(['PK\x01\x02', 'PK\x03\x04', 'PK\x05\x06', 'verity', 'hsqs', '---', 'hash', '']);
  const from = random.between(0, Math.max(0, bytes.length - 1));
  if (mark === '') return from;
  const found = random.chance(0.5) ? bytes.indexOf(mark) : bytes.lastIndexOf(mark);
  return found < 0 ? from : Math.min(found + random.between(0, 90), Math.max(0, bytes.length - 1));
}

function overwritten(bytes: Buffer, at: number, data: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  Buffer.from(data).copy(copy, at);
  return copy;
}

function randomBytes(random: Random, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => random.between(0, 255)));
}

function spoiledText(random: Random, good: string): string {
  let text = good;
  for (let edits = random.chance(0.5) ? 1 : random.between(2, 5); edits > 0; edits--) {
    const at = random.between(0, text.length);
    const word = random.chance(0.01) ? random.pick(words).repeat(random.between(1, 5000)) : random.pick(words);
    text = text.slice(0, at) + word + text.slice(at + random.between(0, 12));
  }
  return text;
}
