import type { Node } from './nodes.ts';
import type { Tree } from './tree.ts';
export function modernise(tree: Tree, _: { old: boolean }): { root: Node; deprecations: readonly string[] } {
  return { root: tree.root, deprecations: [] };
}
