// From the bytes of manifest.yaml to the normalised manifest.
import type { z } from 'zod';
import { manifestSchema, type Manifest } from '../../state/manifest.ts';
import { modernise } from './dialect.ts';
import type { PackageError } from './error.ts';
import { manifestError, type Node } from './nodes.ts';
import { shape } from './shape.ts';
import { readTree, type Tree } from './tree.ts';

/** More than any manifest needs; what a reader may be made to chew is bounded by it. */
export const LONGEST_MANIFEST = 128 * 1024;

export interface ReadManifest {
  readonly manifest: Manifest;
  /** What of the older dialect it uses, each said once. */
  readonly deprecations: readonly string[];
}

/**
 * Reads a manifest: YAML, else JSON, else TOML. `old`: it comes from a package of the older format, where every
 * container with an init has /dev and /proc. Throws a PackageError with line, column and field.
 */
export async function readManifest(bytes: Uint8Array, { old }: { old: boolean }): Promise<ReadManifest> {
  if (bytes.length > LONGEST_MANIFEST) {
    throw manifestError('', null, [], `it is too large: ${bytes.length} bytes, at most ${LONGEST_MANIFEST} are read`);
  }
  const tree = await readTree(decoded(bytes));
  const { root, deprecations } = modernise(tree, { old });
  const modern = { ...tree, root };
  const result = manifestSchema.safeParse(shape(modern, manifestSchema));
  if (!result.success) throw explained(modern, result.error.issues);
  return { manifest: result.data, deprecations };
}

function decoded(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw manifestError('', null, [], 'it is not UTF-8', { cause: error });
  }
}

/** The first issue, said with the place and the name of the field. */
function explained(tree: Tree, issues: readonly z.core.$ZodIssue[]): PackageError {
  const issue = deepest(issues);
  if (issue === undefined) return manifestError(tree.text, null, [], 'it is not valid');
  const unknown = issue.code === 'unrecognized_keys' ? issue.keys.slice(0, 1) : [];
  const path = [...issue.path, ...unknown];
  const { at, missing } = find(tree.root, path);
  const message = unknown.length > 0 ? 'there is no such field' : missing ? 'is missing' : issue.message;
  return manifestError(tree.text, at, path, message);
}

/** What is behind an issue: in a union that of the form that was meant, which is the one that knows all names in it. */
function deepest([issue]: readonly z.core.$ZodIssue[]): z.core.$ZodIssue | undefined {
  if (issue?.code === 'invalid_key') return { ...issue, message: issue.issues[0]?.message ?? issue.message };
  if (issue?.code !== 'invalid_union') return issue;
  const meant = issue.errors.find((issues) => issues.every(({ path }) => path.length > 0));
  const inner = deepest(meant ?? []);
  return inner === undefined ? issue : { ...inner, path: [...issue.path, ...inner.path] };
}

/** Where a path leads, or as far as it does. */
function find(root: Node, path: readonly PropertyKey[]): { at: number | null; missing: boolean } {
  let node = root;
  let { at } = root;
  for (const step of path) {
    // A tag is a step of the path, but no level of the tree.
    if (node.tag === step) continue;
    const entry = node.kind === 'map' ? node.entries.get(String(step)) : undefined;
    const next = node.kind === 'list' ? node.items[Number(step)] : entry?.value;
    if (next === undefined) return { at, missing: node.kind === 'map' };
    node = next;
    at = entry?.at ?? next.at ?? at;
  }
  return { at, missing: false };
}
