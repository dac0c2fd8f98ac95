// signature.yaml: two YAML documents, the first of which is signed byte for byte. Parsed, not judged: whether the
// signature holds is for those who have a key.
import { PackageError } from './error.ts';
import type { Node } from './nodes.ts';
import { readTree } from './tree.ts';

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

/** Reads signature.yaml. Throws a PackageError when it is malformed. */
export async function parseSignature(bytes: Buffer): Promise<Signature> {
  const end = bytes.indexOf(Buffer.concat([Buffer.from('\n'), SEPARATOR])) + 1;
  if (end === 0) throw malformed('it has no second document');
  const signed = bytes.subarray(0, end);
  const first = await document(signed);
  const second = await document(bytes.subarray(end + SEPARATOR.length));
  const offset = Number(required(first, 'fs.img', 'verity-offset'));
  if (!Number.isSafeInteger(offset) || offset < 0) throw malformed('fs.img.verity-offset is no offset');
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
