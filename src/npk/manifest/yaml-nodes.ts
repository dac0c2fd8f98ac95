// Any YAML 1.2, by the yaml package. Manifests as packers write them are read by block-nodes.ts, at a fiftieth of the cost.
import { isAlias, isMap, isScalar, isSeq, parseDocument, type Alias, type YAMLMap, type Node as YamlNode } from 'yaml';
import { addEntry, DEEPEST, manifestError, MOST_NODES, type Entry, type Node } from './nodes.ts';

/** Reads one YAML document. Throws a PackageError with line and column. */
export function yamlNodes(text: string): Node {
  // The package compares every key with every other: duplicates are found below, in linear time.
  const document = parse(text);
  const [error] = document.errors;
  if (error?.code === 'RESOURCE_EXHAUSTION') throw manifestError(text, error.pos[0], [], 'it is nested too deep');
  if (error?.code === 'MULTIPLE_DOCS') throw manifestError(text, error.pos[0], [], 'there is more than one document');
  if (error !== undefined) throw manifestError(text, error.pos[0], [], firstLine(error.message));
  if (document.contents === null) throw manifestError(text, null, [], 'it is empty');
  return converter(text)(document.contents, 0).node;
}

function parse(text: string) {
  try {
    return parseDocument(text, { uniqueKeys: false, prettyErrors: false, merge: false });
  } catch (error) {
    // Its composer recurses once for each level.
    if (error instanceof RangeError) throw manifestError(text, null, [], 'it is nested too deep', { cause: error });
    throw error;
  }
}

interface Weighed {
  readonly node: Node;
  /** Nodes in it with every alias expanded. */
  readonly weight: number;
}

function converter(text: string): (node: YamlNode, depth: number) => Weighed {
  const anchors = new Map<string, Weighed>();

  function convert(node: YamlNode, depth: number): Weighed {
    const at = node.range?.[0] ?? null;
    if (depth > DEEPEST) throw manifestError(text, at, [], 'it is nested too deep');
    if (isAlias(node)) return resolve(node, at);
    const converted = content(node, at, depth);
    if (converted.weight > MOST_NODES)
      throw manifestError(text, at, [], 'it is too large when its aliases are expanded');
    const anchor = isMap(node) || isSeq(node) || isScalar(node) ? node.anchor : undefined;
    if (anchor !== undefined) anchors.set(anchor, converted);
    return converted;
  }

  function resolve(node: Alias, at: number | null): Weighed {
    const meant = anchors.get(node.source);
    if (meant === undefined) throw manifestError(text, at, [], `there is no anchor "${node.source}" before this alias`);
    return meant;
  }

  function content(node: YamlNode, at: number | null, depth: number): Weighed {
    const { tag, string } = tagOf(text, node.tag, at);
    if (isScalar(node)) {
      const plain = node.type === 'PLAIN' && !string;
      const value = node.type === 'PLAIN' ? (node.source ?? '') : String(node.value);
      return { node: { kind: 'scalar', at, tag, text: value, plain }, weight: 1 };
    }
    if (isMap(node)) return map(node, at, tag, depth);
    if (!isSeq(node)) throw manifestError(text, at, [], 'this is not understood');
    const items = node.items.map((item) => convert(item as YamlNode, depth + 1));
    return { node: { kind: 'list', at, tag, items: items.map((item) => item.node) }, weight: sum(items) };
  }

  function map(node: YAMLMap, at: number | null, tag: string | null, depth: number): Weighed {
    const entries = new Map<string, Entry>();
    const values: Weighed[] = [];
    for (const pair of node.items) {
      const key = convert(pair.key as YamlNode, depth + 1).node;
      if (key.kind !== 'scalar') throw manifestError(text, key.at, [], 'a key must be a scalar');
      const none: Weighed = { node: { kind: 'scalar', at: key.at, tag: null, text: '', plain: true }, weight: 1 };
      const value = pair.value === null ? none : convert(pair.value as YamlNode, depth + 1);
      addEntry(entries, key.text, key.at, value.node, text);
      values.push(value);
    }
    return { node: { kind: 'map', at, tag, entries }, weight: sum(values) };
  }

  return convert;
}

function sum(items: readonly Weighed[]): number {
  return items.reduce((total, { weight }) => total + weight, 1);
}

/** A local tag names a variant; of YAML's own only those that change nothing here are known, and !!str. */
function tagOf(text: string, tag: string | undefined, at: number | null): { tag: string | null; string: boolean } {
  if (tag === undefined) return { tag: null, string: false };
  if (tag === '!' || tag === 'tag:yaml.org,2002:str') return { tag: null, string: true };
  if (/^tag:yaml\.org,2002:(?:map|seq|int|bool|null|float)$/.test(tag)) return { tag: null, string: false };
  if (/^![\w-]{1,64}$/.test(tag)) return { tag: tag.slice(1), string: false };
  throw manifestError(text, at, [], `the tag ${tag.slice(0, 64)} is not known`);
}

function firstLine(message: string): string {
  return message.split('\n', 1)[0] ?? message;
}
