// From the bytes of manifest.yaml to the normalised manifest.
import type { z } from 'zod';
import { leadsOutside, manifestSchema, type Manifest } from '../../../state/schema/manifest.ts';
import { launchDefects } from '../../../state/schema/launch-limits.ts';
import { softAboveHard } from '../../../state/schema/limits.ts';
import type { OutputLogs } from '../../../state/observed.ts';
import { modernise } from './dialect.ts';
import { ManifestError, type ManifestIssue } from '../package-error.ts';
import { manifestError, manifestIssue, type Node } from './nodes.ts';
import { shape, type UnknownField } from './shape.ts';
import { readTree, type Tree } from './syntax.ts';

/** More than any manifest needs; what a reader may be made to chew is bounded by it. */
export const LONGEST_MANIFEST = 128 * 1024;

export interface Defects {
  readonly unknown: readonly ManifestIssue[];
  readonly limits: readonly ManifestIssue[];
}

export interface ReadManifest {
  readonly manifest: Manifest;
  /** What of the older dialect it uses, each said once. */
  readonly deprecations: readonly string[];
  /** What its older dialect says of the log. */
  readonly logs: OutputLogs;
  /** Fields that nothing is done about, and limits that no kernel and no launcher takes: no package is made with them, one that is there runs. */
  readonly defects: Defects;
  /** Something about a field, with the place where it stands. */
  issueAt(path: readonly string[], message: string): ManifestIssue;
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
  const { root, deprecations, logs } = modernise(tree, { old });
  const modern = { ...tree, root };
  const dropped: UnknownField[] = [];
  const result = manifestSchema.safeParse(shape(modern, manifestSchema, (field) => dropped.push(field)));
  if (!result.success) throw explained(modern, result.error.issues);
  const issueAt = (path: readonly string[], message: string): ManifestIssue =>
    manifestIssue(tree.text, find(root, path).at, path, message);
  const { data: manifest } = result;
  const unknown = dropped.map(({ at, path }) =>
    manifestIssue(tree.text, at, path, 'there is no such field: it would have no effect'),
  );
  const limits = [
    ...softAboveHard(manifest.rlimits ?? {}).map(([name, message]) => issueAt(['rlimits', name], message)),
    ...launchDefects(manifest).map(([field, message]) => issueAt([field], message)),
  ];
  return { manifest, deprecations, logs, defects: { unknown, limits }, issueAt };
}

function decoded(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw manifestError('', null, [], 'it is not UTF-8', { cause: error });
  }
}

/** All issues, each said with the place and the name of the field, in the order of the text. */
function explained(tree: Tree, issues: readonly z.core.$ZodIssue[]): ManifestError {
  const found = issues
    .map((issue) => explainedIssue(tree, deepest([issue]) ?? issue))
    .sort((one, other) => (one.at ?? 0) - (other.at ?? 0));
  const [first, ...more] = found.map(({ issue }) => issue);
  if (first === undefined) return manifestError(tree.text, null, [], 'it is not valid');
  return new ManifestError(found[0]?.leadsOut === true ? 'path' : 'manifest', [first, ...more]);
}

interface Explained {
  readonly at: number | null;
  readonly issue: ManifestIssue;
  /** It names something outside of where it may reach. */
  readonly leadsOut: boolean;
}

function explainedIssue(tree: Tree, issue: z.core.$ZodIssue): Explained {
  const unknown = issue.code === 'unrecognized_keys' ? issue.keys.slice(0, 1) : [];
  const path = [...issue.path, ...unknown];
  const { at, missing } = find(tree.root, path);
  const message = unknown.length > 0 ? 'there is no such field' : missing ? 'is missing' : issue.message;
  const leadsOut = issue.code === 'custom' && issue.params === leadsOutside;
  return { at, issue: manifestIssue(tree.text, at, path, message), leadsOut };
}

/** What is behind an issue: in a union that of the form that was meant, which is the one that knows all names in it. */
function deepest([issue]: readonly z.core.$ZodIssue[]): z.core.$ZodIssue | undefined {
  if (issue?.code === 'invalid_key') return { ...(issue.issues[0] ?? issue), path: issue.path };
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
