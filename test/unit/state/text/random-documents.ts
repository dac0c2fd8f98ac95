// Random documents, and the ways in which YAML can write each.
import fc from 'fast-check';
import { renderKey, renderValue } from '../../../../state/text/render.ts';
import { isList, isMap, type Tree } from '../../../../state/text/tree.ts';

/** Names of fields, awkward ones among them. */
export const names = fc.constantFrom(
  'a',
  'b',
  'c',
  'state',
  'x y',
  '__proto__',
  '1',
  'null',
  '~',
  'a/b',
  '#',
  'k: v',
  '- d',
  '...',
  '"q"',
  "it's",
  'é',
  '',
  '*',
  '&',
  '!t',
  '{',
  'a:1.0.0',
  '\u2028',
  'tab\there',
);
/** Values that are no list and no map. */
export const scalars: fc.Arbitrary<Tree> = fc.oneof(
  fc.constantFrom<Tree>(
    null,
    true,
    false,
    0,
    1,
    -1,
    1.5,
    1e21,
    '',
    'text',
    '1.10',
    'true',
    'null',
    '~',
    ' lead',
    'trail ',
    '# no',
    'a: b',
    'a\nb',
    'a\n\n b\n',
    '*x',
    '&x',
    '\u0085',
    '\u2028',
    '-',
    '?',
    '0x1F',
    '.inf',
    '1e3',
    'very '.repeat(30),
  ),
  fc.string(),
  fc.integer(),
);
/** Values of any shape. */
export const trees: fc.Arbitrary<Tree> = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 5, depthSize: 'medium' },
    scalars,
    fc.array(fc.tuple(names, tie('tree')), { maxLength: 4 }).map((pairs) => new Map(pairs)),
    fc.array(tie('tree'), { maxLength: 4 }),
  ),
})).tree;
const roots: fc.Arbitrary<Tree> = fc
  .array(fc.tuple(names, trees), { minLength: 1, maxLength: 5 })
  .map((pairs) => new Map(pairs));

/** How a value is written: every choice that YAML leaves, taken from a list of numbers. */
export function written(tree: Tree, choose: (count: number) => number, anchors: string[]): string {
  const indent = (text: string, by: string): string => text.replace(/^(?=.)/gm, by);
  const comment = (): string => ['', '', ' # note', '   # another: "note" [x'][choose(4)] ?? '';
  const scalar = (value: Tree, flow: boolean): string => {
    if (
      typeof value === 'string' &&
      !flow &&
      /^[\x20-\x7e\n]+$/.test(value) &&
      /^[^\s]/.test(value) &&
      choose(3) === 0
    ) {
      const body = value.replace(/\n*$/, '');
      const trailing = value.length - body.length;
      if (body !== '' && !/\n\s|\n$/.test(body)) {
        const header = trailing === 0 ? '|-' : trailing === 1 ? '|' : '|+';
        return `${header}${choose(2) === 0 ? '' : ' # block'}\n${indent(body, '    ')}\n${'\n'.repeat(Math.max(0, trailing - 1))}`;
      }
    }
    if (typeof value === 'string' && choose(3) === 0 && /^[\x20-\x7e]*$/.test(value))
      return `'${value.replaceAll("'", "''")}'`;
    return renderValue(value);
  };
  const block = (value: Tree, depth: number): string => {
    // What follows a key or a dash, line break included.
    const known = anchors[choose(Math.max(1, anchors.length))];
    if (known !== undefined && choose(6) === 0) return ` *${known}${comment()}\n`;
    const name = `a${choose(5)}`;
    if (choose(6) !== 0) return anchored(value, depth, '');
    const own = anchored(value, depth, ` &${name}`);
    anchors.push(name);
    return own;
  };
  const anchored = (value: Tree, depth: number, anchor: string): string => {
    if (isMap(value) && value.size > 0 && choose(3) > 0) {
      const step = [' ', '  ', '   '][choose(3)] ?? ' ';
      return `${anchor}${comment()}\n${indent(map(value, depth + 1), step)}`;
    }
    if (isList(value) && value.length > 0 && choose(3) > 0) {
      const step = [' ', '  '][choose(2)] ?? ' ';
      return `${anchor}${comment()}\n${indent(list(value, depth + 1), step)}`;
    }
    const own = scalarOrFlow(value);
    return `${anchor} ${own}${own.endsWith('\n') ? '' : `${comment()}\n`}`;
  };
  const scalarOrFlow = (value: Tree): string => (isMap(value) || isList(value) ? flow(value) : scalar(value, false));
  const flow = (value: Tree): string => {
    const gap = [' ', '', '\n     ', ' # in flow\n      '][choose(4)] ?? '';
    const trailing = choose(4) === 0 ? ',' : '';
    if (isMap(value))
      return value.size === 0
        ? '{}'
        : `{${gap}${[...value].map(([key, member]) => `${renderKey(key, true)} ${flow(member)}`).join(`,${gap}`)}${trailing}${gap.includes('#') ? ' ' : gap}}`;
    if (isList(value)) return value.length === 0 ? '[]' : `[${gap}${value.map(flow).join(`,${gap}`)}${trailing}]`;
    return scalar(value, true);
  };
  const noise = (): string => ['', '', '', '\n', '# between\n', '   # indented\n'][choose(6)] ?? '';
  const map = (value: ReadonlyMap<string, Tree>, depth: number): string =>
    [...value]
      .map(
        ([key, member]) =>
          `${noise()}${renderKey(key, false)}${member === null && choose(2) === 0 ? `${comment()}\n` : block(member, depth)}`,
      )
      .join('');
  const list = (value: readonly Tree[], depth: number): string =>
    value.map((item) => `${noise()}-${compact(item, depth)}`).join('');
  const compact = (item: Tree, depth: number): string => {
    if (isMap(item) && item.size > 0 && choose(3) === 0)
      return ` ${indent(map(item, depth).replace(/^(\s*#[^\n]*\n|\n)+/, ''), '  ').trimStart()}`;
    return block(item, depth);
  };
  const body =
    isMap(tree) && tree.size > 0 ? map(tree, 0) : isList(tree) && tree.length > 0 ? list(tree, 0) : `${flow(tree)}\n`;
  const text = `${['', '# head\n', '---\n', '\n'][choose(4)] ?? ''}${body}${['', '', '...\n', '# tail\n', '...\n# after\n'][choose(5)] ?? ''}`;
  const ended = choose(5) === 0 ? text.replace(/\n$/, '') : text;
  return choose(6) === 0 ? ended.replaceAll('\n', '\r\n') : ended;
}

/** The path of every value of a tree, its own first. */
export function paths(tree: Tree, at: string[] = []): string[][] {
  if (isMap(tree)) return [at, ...[...tree].flatMap(([key, member]) => paths(member, [...at, key]))];
  return isList(tree) ? [at, ...tree.flatMap((item, index) => paths(item, [...at, String(index)]))] : [at];
}

/** A tree, and the choices that `written` makes for it. */
export const documents = fc
  .tuple(fc.oneof({ weight: 1, arbitrary: trees }, { weight: 9, arbitrary: roots }), fc.infiniteStream(fc.nat(999)))
  .map(([tree, numbers]) => {
    const iterator = numbers[Symbol.iterator]();
    const choose = (count: number): number => Number(iterator.next().value) % count;
    return { tree, choose };
  });
