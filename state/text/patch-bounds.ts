// What a patch from outside may make of the document: `copy` doubles with every operation, and no text limits its outcome.
import type { Operation } from 'fast-json-patch';
import { isList, isMap, PatchError, resolveOperations, type Tree } from './tree.ts';

/** Maps, lists, texts and numbers of a document that a patch may lead to, and how deep they lie in each other. */
const MOST_NODES = 200_000;
const DEEPEST = 64;

/** The operations, once it is known that they apply and that their outcome is of a reasonable size; throws PatchError. */
export function checkedOperations(tree: Tree, operations: readonly Operation[]): readonly Operation[] {
  // Copies share what they copy until somebody walks through them.
  const outcome = resolveOperations(tree, operations, { makeParents: true }).tree;
  if (isTooLarge(outcome)) throw new PatchError(operations.length - 1, '', 'the document becomes too large');
  return operations;
}

/** Throws PatchError when what a patch says, of whatever form, lies deeper than a document may. */
export function checkDepth(patch: unknown): void {
  const isDeeper = (value: unknown, left: number): boolean =>
    typeof value === 'object' &&
    value !== null &&
    (left === 0 || Object.values(value).some((member) => isDeeper(member, left - 1)));
  // The operations themselves and their list are two levels.
  if (isDeeper(patch, DEEPEST + 2)) throw new PatchError(0, '', 'it is nested too deep');
}

function isTooLarge(tree: Tree): boolean {
  let nodes = 0;
  const visit = (node: Tree, depth: number): boolean => {
    nodes += 1;
    if (nodes > MOST_NODES || depth > DEEPEST) return true;
    if (isMap(node)) return node.values().some((member) => visit(member, depth + 1));
    return isList(node) && node.some((item) => visit(item, depth + 1));
  };
  return visit(tree, 0);
}
