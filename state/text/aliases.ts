// Aliases that stand in the way of a change.
import { isAlias, isMap, isScalar, isSeq, type ParsedNode } from 'yaml';
import type { YamlText } from './yaml.ts';

/** An alias in the text, and where in the tree it stands. */
export interface AliasPlace {
  readonly from: number;
  readonly to: number;
  readonly at: readonly string[];
}

/**
 * The aliases that must become what they stand for before the value at a path is changed: the one that the path leads
 * through; else all that mean an anchor on the way to the value or in it, for they would change with it.
 */
export function aliasEdits(yaml: YamlText, path: readonly string[]): AliasPlace[] {
  if (!yaml.text.includes('*')) return [];
  const anchors = new Map<string, ParsedNode>();
  const aliases: (AliasPlace & { readonly target: ParsedNode | undefined })[] = [];
  const affected = new Set<ParsedNode>();
  const through: AliasPlace[] = [];

  const visit = (node: ParsedNode | null, at: readonly string[]): void => {
    if (node === null) return;
    const common = Math.min(at.length, path.length);
    const related = at.slice(0, common).every((key, index) => key === path[index]);
    if (isAlias(node)) {
      const place = { from: node.range[0], to: node.range[1], at };
      aliases.push({ ...place, target: anchors.get(node.source) });
      if (related && at.length < path.length) through.push(place);
      return;
    }
    if (node.anchor !== undefined) anchors.set(node.anchor, node);
    if (related) affected.add(node);
    if (isMap(node)) {
      for (const { key, value } of node.items) {
        const name = isScalar(key) ? String(key.value) : '';
        visit(key, [...at, name]);
        visit(value, [...at, name]);
      }
    } else if (isSeq(node)) node.items.forEach((item, index) => visit(item, [...at, String(index)]));
  };

  visit(yaml.document.contents, []);
  if (through.length > 0) return through;
  // One within what is changed goes or stays with it; only those outside would be changed along.
  return aliases.filter(({ target }) => target !== undefined && affected.has(target));
}
