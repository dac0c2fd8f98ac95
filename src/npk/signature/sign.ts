// Writing signature.yaml, and making keys.
import { createHash, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { rawPublicKey, rawSecretKey } from './keys.ts';

/** What a signature is over. */
export interface SignedParts {
  readonly comment: string;
  readonly manifest: string;
  /** Hex. */
  readonly rootHash: string;
  /** Bytes of the file system, after which the verity data begins. */
  readonly verityOffset: number;
}

/** The text of signature.yaml: the document that is signed byte for byte, and the signature. */
export function signatureYaml({ comment, manifest, rootHash, verityOffset }: SignedParts, key: KeyObject): string {
  const document = `meta:
  hash: ${sha256(comment)}
manifest.yaml:
  hash: ${sha256(manifest)}
fs.img:
  verity-hash: ${rootHash}
  verity-offset: ${verityOffset}
`;
  return `${document}---\nsignature: ${sign(null, Buffer.from(document), key).toString('base64')}`;
}

/**
 * Makes a pair of keys in a directory, which is made when it is missing: NAME.key, which only its owner can read, and NAME.pub, 32 raw bytes each. Never
 * overwrites a file; rejects when one of them is there already, and then leaves none behind.
 */
export async function generateKeys(directory: string, name: string): Promise<{ secret: string; public: string }> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const secret = join(directory, `${name}.key`);
  const shared = join(directory, `${name}.pub`);
  await writeNew(secret, rawSecretKey(privateKey), 0o600);
  try {
    await writeNew(shared, rawPublicKey(publicKey), 0o644);
  } catch (error) {
    await rm(secret);
    throw error;
  }
  return { secret, public: shared };
}

async function writeNew(path: string, content: Buffer, mode: number): Promise<void> {
  await using file = await open(path, 'wx', mode);
  await file.writeFile(content);
  await file.sync();
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
