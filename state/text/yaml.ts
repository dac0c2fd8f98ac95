// YAML 1.2 (core schema) read with positions: the text becomes nodes that know their place, and those become a tree.
import {
  Composer,
  Lexer,
  Parser,
  isAlias,
  isMap as isYamlMap,
  isScalar,
  isSeq,
  type CST,
  type Document,
  type ParsedNode,
} from 'yaml';
import type { JsonSchema } from '../schema/describe-schema.ts';
import type { Tree } from './tree.ts';

/** Why a document is refused, and where. `line` and `column` count from 1; 0 = no place in the text. */
export interface DocumentError {
  readonly line: number;
  readonly column: number;
  readonly message: string;
  /** The line, and below it a caret; '' without a place. */
  readonly excerpt: string;
}

/** A document's nodes; `endMark`: the text ends with `...`. */
export interface YamlText {
  readonly text: string;
  readonly document: Document.Parsed;
  readonly endMark: boolean;
}

/** An error at an offset of the text. */
export class YamlError extends Error {
  readonly offset: number;

  constructor(offset: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'YamlError';
    this.offset = offset;
  }
}

/** Aliases may at most lead to this many values: a few lines of them could stand for billions. */
const MOST_ALIASED = 10_000;

/** Of the parts that the lexer sees: what 1 MiB of brackets and commas costs grows with their square. */
const MOST_LEXEMES = 300_000;
const TOO_DEEP = 'the document is nested too deeply';

/** Parses a text that holds one document. Throws YamlError. */
export function parseYaml(text: string): YamlText {
  const composer = new Composer<ParsedNode>({
    schema: 'core',
    resolveKnownTags: false,
    stringKeys: true,
    uniqueKeys: false,
    prettyErrors: false,
    keepSourceTokens: true,
    logLevel: 'silent',
  });
  const tokens = tokensOf(text);
  const [document, further] = composer.compose(tokens, true, text.length);
  if (document === undefined) throw new YamlError(0, 'there is no document');
  const [error] = [...document.errors, ...document.warnings];
  if (error?.code === 'RESOURCE_EXHAUSTION') throw new YamlError(error.pos[0], TOO_DEEP);
  if (error !== undefined) throw new YamlError(error.pos[0], error.message);
  if (further !== undefined) throw new YamlError(further.range[0], 'a second document begins here; one is expected');
  const { explicit, version } = document.directives.yaml;
  if (explicit === true && version !== '1.2') throw new YamlError(0, `YAML ${version} is not read, only 1.2`);
  return { text, document, endMark: tokens.some(({ type }) => type === 'doc-end') };
}

function tokensOf(text: string): CST.Token[] {
  const parser = new Parser();
  const tokens: CST.Token[] = [];
  let count = 0;
  let offset = 0;
  for (const lexeme of new Lexer().lex(text)) {
    if (++count > MOST_LEXEMES) throw new YamlError(offset, 'the document has too many values');
    tokens.push(...parser.next(lexeme));
    offset += lexeme.length;
  }
  return [...tokens, ...parser.end()];
}

/** The place and the line of an error, for people. */
export function describeError(text: string, offset: number, message: string): DocumentError {
  // From before the begin lastIndexOf would look at the first character all the same.
  const start = offset === 0 ? 0 : text.lastIndexOf('\n', offset - 1) + 1;
  const line = text.slice(0, start).split('\n').length;
  const column = offset - start + 1;
  const whole = text.slice(start).split(/\r?\n/, 1)[0] ?? '';
  const from = Math.max(0, Math.min(column - 40, whole.length - 80));
  const caret = ' '.repeat(column - 1 - from) + '^';
  return { line, column, message, excerpt: `${whole.slice(from, from + 80).replaceAll('\t', ' ')}\n${caret}` };
}

/**
 * The tree of a document. Where the schema wants text, a scalar is the text that stands there (`1.10` is not 1.1).
 * Aliases are resolved. Throws YamlError on duplicate keys, on what JSON does not know and on aliases that blow up.
 */
export function treeOfYaml(yaml: YamlText, schema: JsonSchema | null): Tree {
  const anchors = new Map<string, { node: ParsedNode; open: boolean }>();
  const targets = new Map<ParsedNode, ParsedNode>();
  let aliased = 0;

  const visit = (node: ParsedNode | null, wanted: JsonSchema | null, inAlias: boolean): Tree => {
    if (node === null) return null;
    if (inAlias && ++aliased > MOST_ALIASED) {
      throw new YamlError(node.range[0], `aliases stand for more than ${MOST_ALIASED} values`);
    }
    if (isAlias(node)) {
      // An alias means the anchor before it, also where it is seen again through another alias.
      const target = targets.get(node);
      if (target !== undefined) return visit(target, wanted, true);
      const anchor = anchors.get(node.source);
      if (anchor === undefined)
        throw new YamlError(node.range[0], `there is no anchor ${node.source} before this alias`);
      if (anchor.open) throw new YamlError(node.range[0], `the alias ${node.source} contains itself`);
      targets.set(node, anchor.node);
      return visit(anchor.node, wanted, true);
    }
    const anchor = { node, open: true };
    if (node.anchor !== undefined && !inAlias) anchors.set(node.anchor, anchor);
    const tree = contents(node, wanted, inAlias);
    anchor.open = false;
    return tree;
  };

  const contents = (
    node: Exclude<ParsedNode, { source: string; type: 'ALIAS' }>,
    wanted: JsonSchema | null,
    inAlias: boolean,
  ): Tree => {
    if (isYamlMap(node)) {
      const map = new Map<string, Tree>();
      for (const { key, value } of node.items) {
        const name = isScalar(key) ? String(key.value) : '';
        if (map.has(name)) throw new YamlError(key.range[0], `the key ${JSON.stringify(name)} stands here twice`);
        if (key.anchor !== undefined && !inAlias) anchors.set(key.anchor, { node: key, open: false });
        map.set(name, visit(value, memberSchema(wanted, name), inAlias));
      }
      return map;
    }
    if (isSeq(node)) return node.items.map((item) => visit(item, itemSchema(wanted), inAlias));
    if (!isScalar(node)) throw new YamlError(node.range[0], 'a map, a list or a scalar is expected');
    return scalar(node.value, node.source, wanted, node.range[0]);
  };

  try {
    return visit(yaml.document.contents, schema, false);
  } catch (error) {
    if (error instanceof RangeError) throw new YamlError(0, TOO_DEEP, { cause: error });
    throw error;
  }
}

function scalar(value: unknown, source: string | undefined, wanted: JsonSchema | null, offset: number): Tree {
  if (typeof value === 'string') return value;
  const type = value === null ? 'null' : typeof value;
  if (source !== undefined && wanted !== null && takes(wanted, 'string') && !takes(wanted, type)) return source;
  if (value === null || typeof value === 'boolean') return value;
  if (typeof value === 'number' && Number.isFinite(value)) return Object.is(value, -0) ? 0 : value;
  throw new YamlError(offset, `${source ?? `a ${typeof value}`} is no value of JSON`);
}

function alternatives(schema: JsonSchema | null): readonly JsonSchema[] {
  if (schema === null) return [];
  return schema.anyOf === undefined ? [schema] : schema.anyOf.flatMap(alternatives);
}

function takes(schema: JsonSchema, type: string): boolean {
  return alternatives(schema).some((one) => one.type === type || (type === 'number' && one.type === 'integer'));
}

function memberSchema(schema: JsonSchema | null, name: string): JsonSchema | null {
  for (const { properties, additionalProperties } of alternatives(schema)) {
    if (properties !== undefined && Object.hasOwn(properties, name)) return properties[name] ?? null;
    if (typeof additionalProperties === 'object') return additionalProperties;
  }
  return null;
}

function itemSchema(schema: JsonSchema | null): JsonSchema | null {
  return alternatives(schema).find(({ items }) => items !== undefined)?.items ?? null;
}

/** The offset of the node at a path, as far as it exists; with `atKey` of its key. Aliases are followed no further. */
export function offsetOf(yaml: YamlText, path: readonly string[], atKey: boolean): number {
  let node: ParsedNode | null = yaml.document.contents;
  let offset = node?.range[0] ?? 0;
  for (const [index, name] of path.entries()) {
    if (isYamlMap(node)) {
      const pair: { key: ParsedNode; value: ParsedNode | null } | undefined = node.items.find(
        ({ key }) => isScalar(key) && String(key.value) === name,
      );
      if (pair === undefined) return offset;
      const last = index === path.length - 1;
      offset = last && (atKey || pair.value === null) ? pair.key.range[0] : (pair.value ?? pair.key).range[0];
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(name)] ?? null;
      offset = node?.range[0] ?? offset;
    } else return offset;
  }
  return offset;
}
