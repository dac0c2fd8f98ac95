// TOML by smol-toml, which tells positions for errors of syntax only; those of keys are found apart.
import { parse, TomlDate, TomlError } from 'smol-toml';
import { DEEPEST, manifestError, scalar, type Node } from './nodes.ts';
import { tomlPlaces, type Places } from './toml-places.ts';

/** Reads a TOML text. Throws a PackageError, with line and column where the syntax is wrong. */
export function tomlNodes(text: string): Node {
  try {
    const read = parse(text, { maxDepth: DEEPEST, integersAsBigInt: true });
    return node(read, text, tomlPlaces(text), []);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const lines = text.split('\n').slice(0, error.line - 1);
    const at = lines.reduce((total, line) => total + line.length + 1, 0) + error.column - 1;
    const message = error.message.split('\n', 1)[0] ?? '';
    throw manifestError(text, at, [], message, { cause: error });
  }
}

function node(value: unknown, text: string, places: Places, path: readonly (string | number)[]): Node {
  // Dotted keys nest without being nested in the text.
  if (path.length > DEEPEST) throw manifestError(text, null, [], 'it is nested too deep');
  const at = places(path);
  const from = { at, tag: null };
  if (typeof value === 'string') return scalar(value, from);
  if (value instanceof TomlDate) return scalar(value.toISOString(), from);
  if (Array.isArray(value)) {
    const items = value.map((item: unknown, index) => node(item, text, places, [...path, index]));
    return { kind: 'list', ...from, items };
  }
  if (typeof value !== 'object' || value === null) return scalar(String(value), from, true);
  const members = Object.entries(value as Readonly<Record<string, unknown>>);
  const entries = members.map(([key, member]) => {
    const inner = node(member, text, places, [...path, key]);
    return [key, { at: inner.at, value: inner }] as const;
  });
  return { kind: 'map', ...from, entries: new Map(entries) };
}
