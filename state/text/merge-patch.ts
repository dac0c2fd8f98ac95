// Merge patches (RFC 7386) as operations of RFC 6902, so that there is one way into the document, and one check of rights.
import type { Operation } from 'fast-json-patch';
import { formatPointer } from './pointer.ts';
import { isMap, sameTree, toTree, type Tree, type TreeMap } from './tree.ts';
import { toJson } from '../store.ts';

/** The operations that a merge patch amounts to on a tree: none for what the tree says already. Throws on what JSON does not know. */
export function mergeOperations(tree: Tree, patch: unknown): Operation[] {
  return operationsFor(tree, toTree(patch), []);
}

function operationsFor(target: Tree | undefined, patch: Tree, path: readonly string[]): Operation[] {
  if (isMap(patch) && isMap(target)) {
    return [...patch].flatMap(([key, value]) => memberOperations(target, key, value, [...path, key]));
  }
  const value = withoutNulls(patch);
  if (target !== undefined && sameTree(target, value)) return [];
  return [{ op: 'add', path: formatPointer(path), value: toJson(value) }];
}

function memberOperations(target: TreeMap, key: string, value: Tree, path: readonly string[]): Operation[] {
  if (value !== null) return operationsFor(target.get(key), value, path);
  return target.has(key) ? [{ op: 'remove', path: formatPointer(path) }] : [];
}

/** Where there was no map, a merge patch makes one: of its nulls, which only remove, nothing is left. */
function withoutNulls(patch: Tree): Tree {
  if (!isMap(patch)) return patch;
  const kept = [...patch].filter(([, value]) => value !== null);
  return new Map(kept.map(([key, value]) => [key, withoutNulls(value)]));
}
