// Keys that packages are signed with: ed25519, in files as Northstar writes them (32 raw bytes) or PEM.
import { createPrivateKey, createPublicKey, hash, type KeyObject } from 'node:crypto';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { messageOf } from '../../../state/errno.ts';
import { openFile } from '../../../state/file/in-place.ts';

/** A key that signatures are judged by. */
export interface PublicKey {
  /** SHA-256 of its 32 bytes, hex: what tells keys apart in messages. */
  readonly id: string;
  /** Made when it is first asked for: who only wants to know which key it is loads none of node:crypto. */
  readonly key: KeyObject;
}

const RAW = 32;
const LARGEST_FILE = 64 * 1024;
// The DER that stands before the 32 bytes of an ed25519 key (RFC 8410, sections 4 and 7).
const SPKI = Buffer.from('302a300506032b6570032100', 'hex');
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex');
/** Points of order 1, 2, 4 and 8, sign bit left out, and other spellings of them: under such a key anybody can sign. */
const SMALL_ORDER = new Set([
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
]);

/**
 * The public keys in a file: one of 32 raw bytes, or one or several as PEM (`BEGIN PUBLIC KEY`, RFC 8410), all of which
 * are accepted: old and new one while keys are changed. Rejects with the file's name when it cannot be read, holds
 * anything else than public ed25519 keys, or a weak one.
 */
export async function readKeys(path: string): Promise<PublicKey[]> {
  const bytes = await readRegular(path);
  if (bytes.length === RAW) return [publicKey(path, bytes)];
  const blocks = pemBlocks(bytes);
  if (blocks.length === 0) throw notKey(path, `expected ${RAW} raw bytes or PEM, found ${bytes.length} bytes`);
  return blocks.map(({ label, text }) => {
    if (label !== 'PUBLIC KEY') throw notKey(path, `it holds a ${label.toLowerCase()}, expected public keys only`);
    return publicKey(path, rawIn(text) ?? rawPublic(path, text));
  });
}

/** The secret key in a file: a seed of 32 raw bytes, or PEM (`BEGIN PRIVATE KEY`). Rejects with the file's name. */
export async function readSecretKey(path: string): Promise<KeyObject> {
  // Who signs may have it come from a program: `--key <(...)`.
  const bytes = await readAny(path);
  if (bytes.length === RAW) return secretKey(bytes);
  const [block, ...more] = pemBlocks(bytes);
  if (block?.label !== 'PRIVATE KEY' || more.length > 0) {
    throw notKey(path, `expected ${RAW} raw bytes or one PEM block "PRIVATE KEY" without a passphrase`);
  }
  const key = parsed(path, () => createPrivateKey(block.text));
  if (key.asymmetricKeyType !== 'ed25519') throw notKey(path, `it is of type ${key.asymmetricKeyType}, not ed25519`);
  return key;
}

/** The secret key that a seed of 32 bytes stands for (RFC 8032, section 5.1.5). */
function secretKey(seed: Buffer): KeyObject {
  return createPrivateKey({ key: Buffer.concat([PKCS8, seed]), format: 'der', type: 'pkcs8' });
}

/** The public half of a secret key, to judge signatures by. */
export function publicKeyOf(secret: KeyObject): PublicKey {
  return publicKey('the secret key', rawPublicKey(secret));
}

/** The 32 bytes of the public half of an ed25519 key, public or secret. */
export function rawPublicKey(key: KeyObject): Buffer {
  const half = key.type === 'private' ? createPublicKey(key) : key;
  return half.export({ format: 'der', type: 'spki' }).subarray(SPKI.length);
}

/** The seed of a secret key. */
export function rawSecretKey(key: KeyObject): Buffer {
  return key.export({ format: 'der', type: 'pkcs8' }).subarray(PKCS8.length);
}

/** Whether 32 bytes encode a point of small order (RFC 8032 leaves it to the verifier to refuse them; we do). */
export function hasSmallOrder(point: Buffer): boolean {
  const withoutSign = Buffer.from(point);
  withoutSign[31] = (withoutSign[31] ?? 0) & 0x7f;
  return SMALL_ORDER.has(withoutSign.toString('hex'));
}

function publicKey(path: string, raw: Buffer): PublicKey {
  if (hasSmallOrder(raw)) throw notKey(path, 'its key is a point of small order, under which anybody could sign');
  let key: KeyObject | null = null;
  return {
    id: hash('sha256', raw),
    get key() {
      key ??= createPublicKey({ key: Buffer.concat([SPKI, raw]), format: 'der', type: 'spki' });
      return key;
    },
  };
}

/** The 32 bytes of an ed25519 key in a PEM block; null when it holds anything else. */
function rawIn(text: string): Buffer | null {
  const base64 = text.replace(/-----[^-]+-----|\s/g, '');
  const der = Buffer.from(base64, 'base64');
  const isOurs = der.length === SPKI.length + RAW && der.subarray(0, SPKI.length).equals(SPKI);
  return isOurs && der.toString('base64') === base64 ? der.subarray(SPKI.length) : null;
}

/** The same of one that is written in another way; throws with what is wrong with it. */
function rawPublic(path: string, text: string): Buffer {
  const key = parsed(path, () => createPublicKey(text));
  if (key.asymmetricKeyType !== 'ed25519') throw notKey(path, `it is of type ${key.asymmetricKeyType}, not ed25519`);
  return rawPublicKey(key);
}

/** PEM blocks in a file that may have text around them (RFC 7468). */
function pemBlocks(bytes: Buffer): { readonly label: string; readonly text: string }[] {
  const pattern = /^-----BEGIN ([A-Z0-9 ]+)-----\r?\n[A-Za-z0-9+/=\r\n]+-----END \1-----\s*$/gm;
  return [...bytes.toString('latin1').matchAll(pattern)].map(([text, label = '']) => ({ label, text }));
}

/** A fifo or a device is refused, and never waited for. */
async function readRegular(path: string): Promise<Buffer> {
  const file = await openFile(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  try {
    const stat = await file.stat();
    if (!stat.isFile()) throw new Error(`${path} is no regular file`);
    if (stat.size > LARGEST_FILE) throw notKey(path, `it has ${stat.size} bytes`);
    return Buffer.from(await file.readAll());
  } finally {
    await file.close();
  }
}

async function readAny(path: string): Promise<Buffer> {
  await using file = await open(path, 'r');
  const { size } = await file.stat();
  if (size > LARGEST_FILE) throw notKey(path, `it has ${size} bytes`);
  return await file.readFile();
}

function parsed(path: string, parse: () => KeyObject): KeyObject {
  try {
    return parse();
  } catch (error) {
    throw notKey(path, messageOf(error), { cause: error });
  }
}

function notKey(path: string, message: string, options?: ErrorOptions): Error {
  return new Error(`${path} is no ed25519 key: ${message}`, options);
}
