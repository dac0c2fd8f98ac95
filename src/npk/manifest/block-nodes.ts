// The part of YAML that packers write: block maps and lists, plain and single-quoted scalars on one line, local tags,
// printable ASCII. Whatever is outside of it is left to the full reader, so this one never has to report an error.
import { DEEPEST, type Entry, type Node } from './nodes.ts';

interface Line {
  readonly indent: number;
  /** Offset of the first character after the indent. */
  readonly at: number;
  readonly text: string;
}

const ORDINARY = /^[\x20-\x7e\n]*$/;
const PLAIN_KEY = /^([A-Za-z0-9_./][A-Za-z0-9_./-]{0,200}):(?: (.*))?$/;
const QUOTED_KEY = /^'((?:[^']|''){0,200})':(?: (.*))?$/;
// No indicator in front, no ": " or " #" within, no blank at the end.
const PLAIN =
  /^(?:[A-Za-z0-9_./^~=<+$(;]|-(?=[A-Za-z0-9.]))(?:[A-Za-z0-9_./^~=<>+$%@;()*!?&|,"'-]|:(?=\S)| (?=[^\s#]))*$/;
const QUOTED = /^'((?:[^']|'')*)'$/;
const TAG = /^!([A-Za-z_][\w-]{0,63})(?: (.+))?$/;

/** The nodes of a text within that part of YAML, null when it is not. */
export function blockNodes(text: string): Node | null {
  if (!ORDINARY.test(text)) return null;
  const lines = split(text);
  if (lines === null || lines.length === 0) return null;
  const reader = blockReader(lines);
  const root = reader.block(0, 0);
  return root !== null && reader.finished() ? root : null;
}

function split(text: string): Line[] | null {
  const lines: Line[] = [];
  let at = 0;
  for (const line of text.split('\n')) {
    const indent = line.length - line.trimStart().length;
    const content = line.slice(indent);
    if (content !== '') lines.push({ indent, at: at + indent, text: content });
    else if (at !== text.length) return null;
    at += line.length + 1;
  }
  return lines;
}

function blockReader(lines: Line[]): { block(indent: number, depth: number): Node | null; finished(): boolean } {
  let next = 0;

  /** The map or list that starts at the next line, which must have this indent. */
  function block(indent: number, depth: number): Node | null {
    const line = lines[next];
    if (line?.indent !== indent || depth > DEEPEST) return null;
    return isItem(line.text) ? list(indent, line.at, depth) : map(indent, line.at, depth);
  }

  function map(indent: number, at: number, depth: number): Node | null {
    const entries = new Map<string, Entry>();
    for (let line = lines[next]; line?.indent === indent && !isItem(line.text); line = lines[next]) {
      const found = PLAIN_KEY.exec(line.text) ?? QUOTED_KEY.exec(line.text);
      const key = found?.[1]?.replaceAll("''", "'");
      if (key === undefined || entries.has(key)) return null;
      const rest = found?.[2] ?? '';
      next += 1;
      const value = valueOf(rest, line.at + line.text.length - rest.length, indent, depth);
      if (value === null) return null;
      entries.set(key, { at: line.at, value });
    }
    return { kind: 'map', at, tag: null, entries };
  }

  function list(indent: number, at: number, depth: number): Node | null {
    const items: Node[] = [];
    for (let line = lines[next]; line?.indent === indent && isItem(line.text); line = lines[next]) {
      const rest = line.text.slice(2);
      const inner = { indent: indent + 2, at: line.at + 2, text: rest };
      const startsBlock = isItem(rest) || PLAIN_KEY.test(rest) || QUOTED_KEY.test(rest);
      if (startsBlock) lines[next] = inner;
      else next += 1;
      const item = startsBlock ? block(indent + 2, depth + 1) : one(rest, inner.at, indent);
      if (item === null) return null;
      items.push(item);
    }
    return { kind: 'list', at, tag: null, items };
  }

  /** What follows a key: on its line, or as a block below it. */
  function valueOf(rest: string, at: number, indent: number, depth: number): Node | null {
    const tagged = TAG.exec(rest);
    const tag = tagged?.[1] ?? null;
    const inline = tagged === null ? rest : (tagged[2] ?? '');
    if (inline !== '') {
      const value = one(inline, at, indent);
      return value === null ? null : { ...value, tag };
    }
    const line = lines[next];
    const nested = line !== undefined && (line.indent > indent || (line.indent === indent && isItem(line.text)));
    if (!nested) return { kind: 'scalar', at, tag, text: '', plain: true };
    const value = block(line.indent, depth + 1);
    return value === null ? null : { ...value, tag };
  }

  /** A scalar that ends with its line. */
  function one(text: string, at: number, indent: number): Node | null {
    const following = lines[next];
    if (following !== undefined && following.indent > indent) return null;
    if (PLAIN.test(text)) return { kind: 'scalar', at, tag: null, text, plain: true };
    const quoted = QUOTED.exec(text)?.[1];
    return quoted === undefined
      ? null
      : { kind: 'scalar', at, tag: null, text: quoted.replaceAll("''", "'"), plain: false };
  }

  return { block, finished: () => next === lines.length };
}

function isItem(text: string): boolean {
  return text.startsWith('- ');
}
