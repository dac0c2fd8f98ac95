// TOML by smol-toml, which tells positions for errors of syntax only.
import { parse, TomlDate, TomlError, type TomlValue } from 'smol-toml';
import { DEEPEST, manifestError, scalar, type Node } from './nodes.ts';

/** Reads a TOML text. Throws a PackageError, with line and column where the syntax is wrong. */
export function tomlNodes(text: string): Node {
  try {
    return node(parse(text, { maxDepth: DEEPEST, integersAsBigInt: true }));
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const lines = text.split('\n').slice(0, error.line - 1);
    const at = lines.reduce((total, line) => total + line.length + 1, 0) + error.column - 1;
    const message = error.message.split('\n', 1)[0] ?? '';
    throw manifestError(text, at, [], message, { cause: error });
  }
}

function node(value: TomlValue): Node {
  if (typeof value === 'string') return scalar(value);
  if (typeof value !== 'object') return scalar(String(value), null, true);
  if (value instanceof TomlDate) return scalar(value.toISOString());
  if (Array.isArray(value))
    return { kind: 'list', at: null, tag: null, items: value.map((item: TomlValue) => node(item)) };
  const entries = new Map(Object.entries(value).map(([key, each]) => [key, { at: null, value: node(each) }]));
  return { kind: 'map', at: null, tag: null, entries };
}
