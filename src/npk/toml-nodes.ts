// TOML by smol-toml, which tells positions for errors of syntax only.
import { parse, TomlDate, TomlError } from 'smol-toml';
import { DEEPEST, manifestError, scalar, type Node } from './nodes.ts';

/** Reads a TOML text. Throws a PackageError, with line and column where the syntax is wrong. */
export function tomlNodes(text: string): Node {
  try {
    return node(parse(text, { maxDepth: DEEPEST, integersAsBigInt: true }), text, 0);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const lines = text.split('\n').slice(0, error.line - 1);
    const at = lines.reduce((total, line) => total + line.length + 1, 0) + error.column - 1;
    const message = error.message.split('\n', 1)[0] ?? '';
    throw manifestError(text, at, [], message, { cause: error });
  }
}

function node(value: unknown, text: string, depth: number): Node {
  // Dotted keys nest without being nested in the text.
  if (depth > DEEPEST) throw manifestError(text, null, [], 'it is nested too deep');
  if (typeof value === 'string') return scalar(value);
  if (value instanceof TomlDate) return scalar(value.toISOString());
  if (Array.isArray(value))
    return { kind: 'list', at: null, tag: null, items: value.map((item: unknown) => node(item, text, depth + 1)) };
  if (typeof value !== 'object' || value === null) return scalar(String(value), null, true);
  const members = Object.entries(value as Readonly<Record<string, unknown>>);
  const entries = new Map(members.map(([key, member]) => [key, { at: null, value: node(member, text, depth + 1) }]));
  return { kind: 'map', at: null, tag: null, entries };
}
