// Which syntax a text is in. YAML as packers write it is tried first, since it is what is nearly always there; the
// readers of the rest are loaded when they are needed.
import { blockNodes } from './block-nodes.ts';
import { PackageError } from '../package-error.ts';
import { jsonNodes } from './json-nodes.ts';
import { manifestError, type Node } from './nodes.ts';

export type Syntax = 'YAML' | 'JSON' | 'TOML';

/** A text that was read but not yet understood. */
export interface Tree {
  readonly syntax: Syntax;
  readonly text: string;
  readonly root: Node;
}

/** The readers of any YAML and TOML take up to 40 µs for a character of hostile text; a long one would hold up the runtime. */
const LONGEST = 32 * 1024;

/** Reads a text as YAML, else JSON, else TOML. Throws a PackageError that the reader of its own syntax gives. */
export async function readTree(text: string): Promise<Tree> {
  const block = blockNodes(text);
  if (block !== null) return { syntax: 'YAML', text, root: block };
  const json = jsonNodes(text);
  if (json !== null) return { syntax: 'JSON', text, root: json };
  if (text.length > LONGEST) {
    throw manifestError(
      text,
      null,
      [],
      `it is too large: more than ${LONGEST} characters are read only of plain block YAML or JSON`,
    );
  }
  const [yaml, toml] = await Promise.all([import('./yaml-nodes.ts'), import('./toml-nodes.ts')]);
  const asYaml = attempt(() => yaml.yamlNodes(text));
  if ('root' in asYaml && asYaml.root.kind === 'map') return { syntax: 'YAML', text, root: asYaml.root };
  const asToml = attempt(() => toml.tomlNodes(text));
  if ('root' in asToml && text.trim() !== '') return { syntax: 'TOML', text, root: asToml.root };
  if ('error' in asToml && looksLikeToml(text)) throw asToml.error;
  throw 'error' in asYaml ? asYaml.error : manifestError(text, null, [], 'it is no map of fields');
}

type Attempt = { readonly root: Node } | { readonly error: PackageError };

function attempt(read: () => Node): Attempt {
  try {
    return { root: read() };
  } catch (error) {
    if (error instanceof PackageError) return { error };
    throw error;
  }
}

/** The first line that says something decides whose error is reported. */
function looksLikeToml(text: string): boolean {
  const line = text.split('\n').find((each) => !/^\s*(?:#.*)?$/.test(each)) ?? '';
  return /^\s*(?:\[+[\w."-]+\]+|[\w."-]+\s*=)/.test(line);
}
