// JSON, which JSON.parse has already accepted: what is left is to keep positions, the digits of numbers, and to see
// a key that is there twice.
import { addEntry, DEEPEST, manifestError, type Entry, type Node } from './nodes.ts';

const TOKEN = /[\s]*(?:("(?:[^"\\]|\\.)*")|([-\w.+]+)|([{}[\],:]))/y;

/** The nodes of a JSON text, null when it is not JSON. Throws a PackageError when a key is there twice or it is too deep. */
export function jsonNodes(text: string): Node | null {
  try {
    JSON.parse(text);
  } catch {
    return null;
  }
  const token = new RegExp(TOKEN);

  function next(): { at: number; text: string } {
    const found = token.exec(text);
    const part = found?.[1] ?? found?.[2] ?? found?.[3] ?? '';
    return { at: token.lastIndex - part.length, text: part };
  }

  function value(start: { at: number; text: string }, depth: number): Node {
    const { at } = start;
    if (depth > DEEPEST) throw manifestError(text, at, [], 'it is nested too deep');
    if (start.text === '[')
      return { kind: 'list', at, tag: null, items: [...members(']', depth)].map(([, item]) => item) };
    if (start.text === '{') {
      const entries = new Map<string, Entry>();
      for (const [key, item] of members('}', depth))
        addEntry(entries, String(JSON.parse(key.text)), key.at, item, text);
      return { kind: 'map', at, tag: null, entries };
    }
    if (start.text.startsWith('"'))
      return { kind: 'scalar', at, tag: null, text: String(JSON.parse(start.text)), plain: false };
    return { kind: 'scalar', at, tag: null, text: start.text, plain: true };
  }

  function* members(close: string, depth: number): Generator<[{ at: number; text: string }, Node]> {
    for (let first = next(); first.text !== close; first = next()) {
      if (first.text === ',') continue;
      if (close === '}') next();
      yield [first, value(close === '}' ? next() : first, depth + 1)];
    }
  }

  return value(next(), 0);
}
