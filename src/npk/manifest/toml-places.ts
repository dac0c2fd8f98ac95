// Where the keys and items of a TOML text stand, which its parser does not tell. The text is known to be valid TOML 1.0
// (https://toml.io/en/v1.0.0): only as much is looked at as finding the keys takes.
import { parse } from 'smol-toml';
import { DEEPEST } from './nodes.ts';

/** Gives the offset of the key or list item at a path; null where it has none of its own. */
export type Places = (path: readonly (string | number)[]) => number | null;

type Path = readonly (string | number)[];

/** Finds all keys of a valid text, in one pass. */
export function tomlPlaces(text: string): Places {
  const found = new Map<string, number>();
  /** How often each array of tables was named so far. */
  const tables = new Map<string, number>();
  let at = 0;

  const note = (path: Path, place: number): void => {
    const key = JSON.stringify(path);
    if (!found.has(key)) found.set(key, place);
  };

  const skip = (pattern: RegExp): string => {
    pattern.lastIndex = at;
    const [match = ''] = pattern.exec(text) ?? [];
    at += match.length;
    return match;
  };

  /** The path that a dotted key leads to from a table: through an array of tables, its last one. */
  const walk = (base: Path, start: number): Path => {
    const raw = skip(
      /(?:"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[^\s"'=\]#])(?:"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[ \t]*\.[ \t]*|[^\s"'=\].#])*/y,
    );
    let path = base;
    for (const name of namesOf(raw)) {
      // Its nodes are refused as too deep; until then every step costs more than the one before.
      if (path.length > DEEPEST) break;
      path = [...path, name];
      note(path, start);
      const last = tables.get(JSON.stringify(path));
      if (last !== undefined) path = [...path, last - 1];
    }
    return path;
  };

  const pair = (base: Path): void => {
    const path = walk(base, at);
    skip(/[ \t]*=?[ \t]*/y);
    value(path);
  };

  const value = (path: Path): void => {
    if (text[at] === '[') return items(path);
    if (text[at] === '{') return members(path);
    skip(/"""(?:[^\\]|\\[^])*?"""{1,3}|'''[^]*?'''{1,3}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[^,\]}\n#]+/y);
  };

  const items = (path: Path): void => {
    at += 1;
    for (let index = 0; at < text.length; index++) {
      skip(GAP);
      if (text[at] === ']') break;
      note([...path, index], at);
      const before = at;
      value([...path, index]);
      skip(GAP);
      if (at === before) break;
    }
    at += 1;
  };

  const members = (path: Path): void => {
    at += 1;
    for (;;) {
      skip(GAP);
      const before = at;
      if (at >= text.length || text[at] === '}') break;
      pair(path);
      if (at === before) break;
    }
    at += 1;
  };

  /** `[table]` or `[[array of tables]]`. */
  const header = (): Path => {
    const isArray = skip(/\[{1,2}[ \t]*/y).startsWith('[[');
    const start = at;
    if (!isArray) return walk([], start);
    let path = walk([], start);
    // The walk has gone into the table before this one.
    if (typeof path.at(-1) === 'number') path = path.slice(0, -1);
    const key = JSON.stringify(path);
    const count = (tables.get(key) ?? 0) + 1;
    tables.set(key, count);
    note([...path, count - 1], start);
    return [...path, count - 1];
  };

  let table: Path = [];
  while (at < text.length) {
    skip(/(?:\s|#[^\n]*)+/y);
    const before = at;
    if (text[at] === '[') {
      table = header();
      skip(/[ \t]*\]*/y);
    } else if (at < text.length) pair(table);
    if (at === before) break;
  }
  return (path) => found.get(JSON.stringify(path)) ?? null;
}

/** What may stand between the values of an array or an inline table. */
const GAP = /(?:[\s,]|#[^\n]*)*/y;

/** The parts of a dotted key. Escapes are left to the parser. */
function namesOf(raw: string): string[] {
  if (/^[\w-]+$/.test(raw)) return [raw];
  const names: string[] = [];
  let node: unknown = parse(`${raw} = 0`);
  while (typeof node === 'object' && node !== null) {
    const [name, inner] = Object.entries(node)[0] ?? [];
    if (name === undefined) break;
    names.push(name);
    node = inner;
  }
  return names;
}
