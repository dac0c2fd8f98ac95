// Patches that last until the boot ends: fields laid over the document. A later generation of the document wins.
import { containerName } from '../container-id.ts';
import { formatPointer, isWithin, parsePointer } from '../text/pointer.ts';
import { applyChange, isMap, missingMaps, sameTree, type Tree } from '../text/tree.ts';

/** One field that is set over the document; no value = it is taken away. */
export interface OverlayField {
  readonly pointer: string;
  readonly value?: Tree;
  readonly origin: string;
  readonly generation: number;
  /** What was ordered: `stop idle`, or `patch`. */
  readonly command: string;
}

/** A field in which two trees differ: the pointer of the smallest part that is not a map in both. */
export interface Difference {
  readonly pointer: string;
  readonly value?: Tree;
}

/** The fields of `after` that are not as in `before`. Lists are compared whole. */
export function differences(before: Tree, after: Tree, path: readonly string[] = []): Difference[] {
  if (sameTree(before, after)) return [];
  if (!isMap(before) || !isMap(after)) return [{ pointer: formatPointer(path), value: after }];
  const found: Difference[] = [];
  for (const [key, value] of after) {
    const earlier = before.get(key);
    const place = [...path, key];
    if (earlier === undefined) found.push({ pointer: formatPointer(place), value });
    else if (earlier !== value) found.push(...differences(earlier, value, place));
  }
  for (const key of before.keys()) if (!after.has(key)) found.push({ pointer: formatPointer([...path, key]) });
  return found;
}

/** The overlay with further fields: each replaces what was set at its place and below, and what is taken away leaves what has it. */
export function addFields(overlay: readonly OverlayField[], fields: readonly OverlayField[]): OverlayField[] {
  const kept = overlay.filter(({ pointer }) => !fields.some((field) => isWithin(pointer, field.pointer)));
  const removed = fields.filter(({ value }) => value === undefined);
  return [...kept.map((field) => removed.reduce(without, field)), ...fields];
}

/** A field without what another one takes away of it. */
function without(field: OverlayField, { pointer }: Difference): OverlayField {
  if (field.value === undefined || !isWithin(pointer, field.pointer)) return field;
  const below = parsePointer(pointer).slice(parsePointer(field.pointer).length);
  if (fieldAt(field.value, below) === undefined) return field;
  return { ...field, value: applyChange(field.value, { op: 'remove', path: below }) };
}

/** What is at a place, through maps alone. */
export function fieldAt(tree: Tree, path: readonly string[]): Tree | undefined {
  let now: Tree | undefined = tree;
  for (const key of path) now = isMap(now) ? now.get(key) : undefined;
  return now;
}

/**
 * The places of which a new document speaks, for dropFields: of entries and repositories as wholes, one by one. `all`: every
 * one that it states, or else those alone in which it is not as the one before.
 */
export function placesOf(before: Tree, after: Tree, all: boolean): string[] {
  const places = new Set<string>();
  const add = (path: readonly string[]): void => {
    const [top = '', key] = path;
    if (!sections.includes(top)) places.add(formatPointer([top]));
    else if (key !== undefined) places.add(formatPointer([top, key]));
    else
      for (const tree of [before, after]) for (const each of keysOf(tree, top)) places.add(formatPointer([top, each]));
  };
  for (const { pointer } of differences(before, after)) add(parsePointer(pointer));
  if (all) for (const top of keysOf(after)) add([top]);
  return [...places];
}

const sections = ['repositories', 'containers'];

function keysOf(tree: Tree, section?: string): string[] {
  const member = section === undefined ? tree : isMap(tree) ? tree.get(section) : undefined;
  return isMap(member) ? [...member.keys()] : [];
}

/** Whether a field is one of a name's entries. */
export function isOfName({ pointer }: Pick<OverlayField, 'pointer'>, name: string): boolean {
  const [section, key = ''] = parsePointer(pointer);
  return section === 'containers' && (key === name || containerName(key) === name);
}

/** The overlay without the fields that a later generation of the document sets, at that place, above or below it; the same where there are none. */
export function dropFields(overlay: readonly OverlayField[], pointers: readonly string[]): readonly OverlayField[] {
  if (overlay.length === 0) return overlay;
  const kept = overlay.filter(
    (field) => !pointers.some((pointer) => isWithin(pointer, field.pointer) || isWithin(field.pointer, pointer)),
  );
  return kept.length === overlay.length ? overlay : kept;
}

/** The effective tree: the document with the overlay's fields over it, in their order. */
export function applyOverlay(tree: Tree, overlay: readonly OverlayField[]): Tree {
  return overlay.reduce((now, field) => setField(now, field), tree);
}

/** Sets or removes one field; maps on the way that are missing or null are made. */
function setField(tree: Tree, field: Difference): Tree {
  const path = parsePointer(field.pointer);
  if (field.value === undefined) return hasParent(tree, path) ? applyChange(tree, { op: 'remove', path }) : tree;
  return applyChange(withMaps(tree, path), { op: 'set', path, value: field.value });
}

function hasParent(tree: Tree, path: readonly string[]): boolean {
  let now: Tree | undefined = tree;
  for (const key of path.slice(0, -1)) now = isMap(now) ? now.get(key) : undefined;
  return isMap(now);
}

/** The tree with a map at every step of the way to a path where there was nothing or null. */
function withMaps(tree: Tree, path: readonly string[]): Tree {
  return missingMaps(tree, path).reduce((now, at) => applyChange(now, { op: 'set', path: at, value: new Map() }), tree);
}
