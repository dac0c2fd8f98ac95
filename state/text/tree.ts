// The document as JSON: what patches (RFC 6902) are applied to. Mappings are Maps, so that any text is a name.
import type { Operation } from 'fast-json-patch';
import { formatPointer, parsePointer } from './pointer.ts';
import { messageOf } from '../errno.ts';

export type Tree = null | boolean | number | string | readonly Tree[] | TreeMap;
export type TreeMap = ReadonlyMap<string, Tree>;

/** A patch that cannot be applied: the operation's number in the patch, its pointer, and why. */
export class PatchError extends Error {
  readonly index: number;
  readonly pointer: string;

  constructor(index: number, pointer: string, reason: string) {
    super(`operation ${index} of the patch, ${pointer === '' ? 'the whole document' : pointer}: ${reason}`);
    this.name = 'PatchError';
    this.index = index;
    this.pointer = pointer;
  }
}

/** One change of one place. `insert` moves the later items of a list; everything else `set`s or `remove`s. */
export type TreeChange =
  | { readonly op: 'set' | 'insert'; readonly path: readonly string[]; readonly value: Tree }
  | { readonly op: 'remove'; readonly path: readonly string[] };

/** Applies RFC 6902 operations, all or none. Unchanged parts are shared with the old tree. Throws PatchError. */
export function applyOperations(tree: Tree, operations: readonly Operation[]): Tree {
  return resolveOperations(tree, operations).tree;
}

/**
 * The same, with the single changes that the operations amount to, in order: `test` is checked, `move` and `copy` are
 * resolved. RFC 6902 wants the parent of what is added to exist; with `makeParents` maps that are missing are made.
 */
export function resolveOperations(
  tree: Tree,
  operations: readonly Operation[],
  options: { readonly makeParents?: boolean } = {},
): { tree: Tree; changes: TreeChange[] } {
  const changes: TreeChange[] = [];
  let now = tree;
  const apply = (change: TreeChange): void => {
    now = applyChange(now, change);
    changes.push(change);
  };
  for (const [index, operation] of operations.entries()) {
    try {
      if (options.makeParents === true && operation.op === 'add') {
        for (const path of missingMaps(now, parsePointer(operation.path))) apply({ op: 'set', path, value: new Map() });
      }
      for (const change of changesOf(now, operation)) apply(change);
    } catch (error) {
      throw new PatchError(index, operation.path, messageOf(error));
    }
  }
  return { tree: now, changes };
}

function changesOf(tree: Tree, operation: Operation): TreeChange[] {
  const path = parsePointer(operation.path);
  switch (operation.op) {
    case 'add':
      return [addition(tree, path, toTree(operation.value))];
    case 'replace':
      treeAt(tree, path);
      return [{ op: 'set', path, value: toTree(operation.value) }];
    case 'remove':
      treeAt(tree, path);
      return [{ op: 'remove', path }];
    case 'test':
      if (!sameTree(treeAt(tree, path), toTree(operation.value))) throw new Error('the test failed');
      return [];
    case 'copy':
      return [addition(tree, path, treeAt(tree, parsePointer(operation.from)))];
    case 'move':
      return moveChanges(tree, parsePointer(operation.from), path);
    case '_get':
      throw new Error('"_get" is no operation of RFC 6902');
  }
}

function moveChanges(tree: Tree, from: string[], path: string[]): TreeChange[] {
  const value = treeAt(tree, from);
  if (formatPointer(from) === formatPointer(path)) return [];
  if (from.length < path.length && from.every((key, index) => key === path[index])) {
    throw new Error('a value cannot be moved into itself');
  }
  const removal: TreeChange = { op: 'remove', path: from };
  return [removal, addition(applyChange(tree, removal), path, value)];
}

function addition(tree: Tree, path: readonly string[], value: Tree): TreeChange {
  const parent = path.length === 0 ? null : treeAt(tree, path.slice(0, -1));
  if (!isList(parent)) return { op: 'set', path, value };
  const index = path.at(-1) === '-' ? parent.length : itemIndex(parent, path.at(-1), parent.length);
  return { op: 'insert', path: [...path.slice(0, -1), String(index)], value };
}

/** Applies one change; parts that it does not touch are shared. Throws when its parent does not exist. */
export function applyChange(tree: Tree, change: TreeChange, depth: number = 0): Tree {
  const key = change.path[depth];
  if (key === undefined) {
    if (change.op === 'remove') throw new Error('the whole document cannot be removed');
    return change.value;
  }
  const last = depth === change.path.length - 1;
  if (isMap(tree)) {
    const copy = new Map(tree);
    if (!last) copy.set(key, applyChange(memberOf(tree, key), change, depth + 1));
    else if (change.op === 'remove') copy.delete(key);
    else copy.set(key, change.value);
    return copy;
  }
  if (!isList(tree)) throw new Error(`${formatPointer(change.path.slice(0, depth))} is neither a map nor a list`);
  const index = itemIndex(tree, key, change.op === 'insert' && last ? tree.length : tree.length - 1);
  if (!last) return tree.with(index, applyChange(tree[index] ?? null, change, depth + 1));
  if (change.op === 'remove') return tree.toSpliced(index, 1);
  return change.op === 'insert' ? tree.toSpliced(index, 0, change.value) : tree.with(index, change.value);
}

/** The value at a path. Throws when there is none. */
export function treeAt(tree: Tree, path: readonly string[]): Tree {
  let now = tree;
  for (const key of path) {
    if (isMap(now)) now = memberOf(now, key);
    else if (isList(now)) now = now[itemIndex(now, key, now.length - 1)] ?? null;
    else throw new Error('there is nothing at that path');
  }
  return now;
}

function memberOf(map: TreeMap, key: string): Tree {
  const member = map.get(key);
  if (member === undefined) throw new Error(`there is no ${JSON.stringify(key)}`);
  return member;
}

function itemIndex(list: readonly Tree[], key: string | undefined, highest: number): number {
  const index = key !== undefined && /^(0|[1-9]\d{0,8})$/.test(key) ? Number(key) : -1;
  if (index < 0 || index > highest) throw new Error(`${JSON.stringify(key)} is no index of a list of ${list.length}`);
  return index;
}

/** Whether a tree is a map. */
export function isMap(tree: Tree | undefined): tree is TreeMap {
  return tree instanceof Map;
}

/** Whether a tree is a list. */
export function isList(tree: Tree | undefined): tree is readonly Tree[] {
  return Array.isArray(tree);
}

/** Whether two trees are equal as JSON values: the order of a map's members does not count. */
export function sameTree(a: Tree, b: Tree): boolean {
  if (a === b) return true;
  if (isMap(a)) {
    if (!isMap(b) || a.size !== b.size) return false;
    for (const [key, member] of a) {
      const other = b.get(key);
      if (other === undefined || !sameTree(member, other)) return false;
    }
    return true;
  }
  return isList(a) && isList(b) && a.length === b.length && a.every((item, index) => sameTree(item, b[index] ?? null));
}

/** A JSON value as a tree. Throws on what JSON does not know. */
export function toTree(value: unknown): Tree {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  if (Array.isArray(value)) return value.map(toTree);
  if (value instanceof Map) return new Map([...value].map(([key, member]) => [String(key), toTree(member)]));
  if (typeof value !== 'object') throw new Error(`a ${typeof value} is no JSON value`);
  return new Map(Object.entries(value).map(([key, member]) => [key, toTree(member)]));
}

/** The paths above `path` where a map must be made first, because there is nothing or null. */
export function missingMaps(tree: Tree, path: readonly string[]): string[][] {
  const missing: string[][] = [];
  let now: Tree | undefined = tree;
  for (let depth = 0; depth < path.length; depth++) {
    if (now === undefined || now === null) missing.push(path.slice(0, depth));
    else if (!isMap(now)) return missing;
    now = isMap(now) ? now.get(path[depth] ?? '') : undefined;
  }
  return missing;
}
