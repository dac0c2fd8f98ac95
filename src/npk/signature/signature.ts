// signature.yaml: two YAML documents, the first of which is signed byte for byte; the second holds the signature.
import { createHash, verify } from 'node:crypto';
import { PackageError } from '../package-error.ts';
import { hasSmallOrder, type PublicKey } from './keys.ts';
import type { Node } from '../manifest/nodes.ts';
import { readTree } from '../manifest/syntax.ts';

export interface Signature {
  /** SHA-256, hex. `comment` is null in the older dialect, `image` (of all of fs.img) in today's. */
  readonly hashes: { readonly comment: string | null; readonly manifest: string; readonly image: string | null };
  readonly verity: { readonly rootHash: string; readonly offset: number };
  /** Name of the key, which only the older dialect gives. */
  readonly key: string | null;
  /** Ed25519, base64. */
  readonly signature: string;
}

const SEPARATOR = Buffer.from('---\n');

/** Reads signature.yaml without judging it. Throws a PackageError when it is malformed. */
export async function parseSignature(bytes: Buffer): Promise<Signature> {
  const { signed, rest } = split(bytes);
  const first = await document(signed);
  const second = await document(rest);
  const offset = Number(required(first, 'fs.img', 'verity-offset'));
  if (!Number.isSafeInteger(offset) || offset < 0) {
    throw new PackageError('verity', 'signature.yaml: fs.img.verity-offset is no offset in a file');
  }
  return {
    hashes: {
      comment: field(first, 'meta', 'hash'),
      manifest: required(first, 'manifest.yaml', 'hash'),
      image: field(first, 'fs.img', 'hash'),
    },
    verity: { rootHash: required(first, 'fs.img', 'verity-hash'), offset },
    key: field(second, 'key'),
    signature: required(second, 'signature'),
  };
}

/**
 * The key, of those given, that made the signature over the first document of `bytes`: strict ed25519 (RFC 8032, s reduced,
 * no point of small order). Only then is what the document says read. Throws a PackageError when none of the keys did.
 */
export async function verifySignature(
  bytes: Buffer,
  keys: readonly PublicKey[],
): Promise<{ readonly signature: Signature; readonly key: PublicKey }> {
  const { signed, rest } = split(bytes);
  const text = required(await document(rest), 'signature');
  if (!/^[A-Za-z0-9+/]{86}==$/.test(text)) throw malformed('signature is not the base64 of 64 bytes');
  const made = Buffer.from(text, 'base64');
  if (hasSmallOrder(made.subarray(0, 32))) throw malformed('the signature begins with a point of small order');
  const key = keys.find((each) => verify(null, signed, each.key, made));
  if (key === undefined) {
    const tried = keys.map(({ id }) => id.slice(0, 16)).join(', ');
    throw new PackageError('signature', `the signature was not made with the key that is asked for (${tried})`);
  }
  return { signature: await parseSignature(bytes), key };
}

/** Compares a part of the package with its hash in the signature. Throws a PackageError when it is another. */
export function compareHash(part: string, bytes: Buffer, wanted: string): void {
  const found = createHash('sha256').update(bytes).digest('hex');
  if (found !== wanted) throw new PackageError('hash', `${part} is not the one that was signed`);
}

function split(bytes: Buffer): { readonly signed: Buffer; readonly rest: Buffer } {
  const end = bytes.indexOf(Buffer.concat([Buffer.from('\n'), SEPARATOR])) + 1;
  if (end === 0) throw malformed('it has no second document');
  return { signed: bytes.subarray(0, end), rest: bytes.subarray(end + SEPARATOR.length) };
}

async function document(bytes: Buffer): Promise<Node> {
  try {
    return (await readTree(bytes.toString('latin1'))).root;
  } catch (error) {
    if (!(error instanceof PackageError)) throw error;
    throw malformed('one of its documents cannot be read', { cause: error });
  }
}

function field(root: Node, ...path: readonly string[]): string | null {
  let node: Node | undefined = root;
  for (const key of path) node = node?.kind === 'map' ? node.entries.get(key)?.value : undefined;
  return node?.kind === 'scalar' ? node.text : null;
}

function required(root: Node, ...path: readonly string[]): string {
  const text = field(root, ...path);
  if (text === null) throw malformed(`${path.join('.')} is missing`);
  return text;
}

function malformed(message: string, options?: ErrorOptions): PackageError {
  return new PackageError('signature', `signature.yaml is malformed: ${message}`, options);
}
