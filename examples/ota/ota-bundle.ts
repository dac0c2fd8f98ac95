// A bundle: what a device shall run, and the packages for it, under one signature.
import { createHash, createPrivateKey, createPublicKey, sign, verify, type KeyObject } from 'node:crypto';

export interface BundledPackage {
  /** The file's name beside bundle.json. */
  readonly file: string;
  /** name:version */
  readonly container: string;
  readonly repository: string;
  readonly size: number;
  /** Hex. */
  readonly sha256: string;
}

export interface Bundle {
  readonly format: 1;
  /** The desired-state document. */
  readonly document: string;
  readonly packages: readonly BundledPackage[];
}

/** Largest bundle.json that is read, in bytes. */
export const largestBundle = 4 * 1024 * 1024;

/** The bundle in the bytes of bundle.json and its detached ed25519 signature (base64); throws when it was not signed with the key. */
export function openBundle(bytes: Buffer, signature: string, publicKey: Buffer): { bundle: Bundle; hash: string } {
  if (!verify(null, bytes, publicKeyOf(publicKey), Buffer.from(signature.trim(), 'base64'))) {
    throw new Error('bundle.json is not signed with this key');
  }
  const bundle = JSON.parse(bytes.toString()) as Bundle;
  // Whoever signed it is trusted; a later format says something else.
  if ((bundle.format as number) !== 1) throw new Error(`bundle.json has format ${bundle.format}; this updater reads 1`);
  return { bundle, hash: createHash('sha256').update(bytes).digest('hex') };
}

/** The signature of the bytes of a bundle.json. */
export function signBundle(bytes: Buffer, secretKey: Buffer): string {
  return `${sign(null, bytes, secretKeyOf(secretKey)).toString('base64')}\n`;
}

/** Keys are PEM, or 32 raw bytes as `northstate gen-key` writes them; DER (RFC 8410) is those with a fixed prefix. */
function publicKeyOf(key: Buffer): KeyObject {
  if (key.length !== 32) return createPublicKey(key);
  const der = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), key]);
  return createPublicKey({ key: der, format: 'der', type: 'spki' });
}

function secretKeyOf(key: Buffer): KeyObject {
  if (key.length !== 32) return createPrivateKey(key);
  const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), key]);
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
}
