// What is in force: the document and the overlay over it. Pure: each function gives a new one or throws.
import type { Operation } from 'fast-json-patch';
import { build, sectionOf, type Built, type EntryOf } from '../schema/build-desired.ts';
import type { Configured } from '../desired.ts';
import {
  addFields,
  applyOverlay,
  differences,
  dropFields,
  fieldAt,
  isOfName,
  placesOf,
  type OverlayField,
} from './overlay.ts';
import { isWithin, parsePointer } from '../text/pointer.ts';
import { PatchRefused } from './refusals.ts';
import { isMap, resolveOperations, sameTree, type TreeChange, type Tree } from '../text/tree.ts';
import { toJson } from '../store.ts';
import { uninstalledBy } from './spent-entries.ts';

export interface InForce {
  /** The document alone. */
  readonly document: Built;
  readonly overlay: readonly OverlayField[];
  /** The document with the overlay over it. */
  readonly effective: Built;
  readonly configured: Configured;
}

/** Whose change it is, and the generation that it makes. */
export interface Mark {
  readonly generation: number;
  readonly origin: string;
  /** What was ordered, as a person would write it. */
  readonly command: string;
}

/** The effective state of a document under an overlay. Fields of the overlay that no longer fit the document are left out. */
export function lay(
  document: Built,
  overlay: readonly OverlayField[],
  before: Built | null,
  generation: number,
  configured: Configured,
): InForce {
  if (overlay.length === 0) return { document, overlay, effective: document, configured };
  // An entry that the overlay does not touch is the document's.
  const known = before ?? document;
  const made = { generation, writtenBy: 'console', configured, uninstalled: uninstalledBy(overlay) } as const;
  const all = build(applyOverlay(document.tree, overlay), { before: known, ...made });
  if (!('message' in all)) return { document, overlay, effective: all, configured };
  let kept: InForce = { document, overlay: [], effective: document, configured };
  for (const field of overlay) {
    const tree = applyOverlay(kept.effective.tree, [field]);
    const built = build(tree, { before: kept.effective, ...made });
    if (!('message' in built)) kept = { document, overlay: [...kept.overlay, field], effective: built, configured };
  }
  return kept;
}

export interface Patched {
  readonly inForce: InForce;
  /** The single changes of the document's text. */
  readonly changes: readonly TreeChange[];
  /** The same as fields, for an overlay. */
  readonly fields: () => readonly OverlayField[];
}

/** A patch of the document. Throws PatchError or PatchRefused; fields of the overlay that it sets give way. */
export function patchDocument(now: InForce, operations: readonly Operation[], mark: Mark): Patched {
  const { document, configured } = now;
  const whole = [...takenAlong(now.overlay, operations), ...operations.filter((one) => !isOverlaidOnly(now, one))];
  const { tree, changes } = resolveOperations(document.tree, whole, { makeParents: true });
  const built = build(tree, { before: document, configured, ...madeBy(operations, mark) });
  if ('message' in built) throw new PatchRefused(built);
  const overlay = dropFields(
    now.overlay,
    operations.map(({ path }) => path),
  );
  const fields = () => differences(document.tree, tree).map((difference) => ({ ...difference, ...mark }));
  return { inForce: lay(built, overlay, now.effective, mark.generation, configured), changes, fields };
}

/** A patch that lasts until the boot ends. Throws PatchError or PatchRefused. */
export function patchBoot(now: InForce, operations: readonly Operation[], mark: Mark): InForce {
  const { configured, effective } = now;
  const { tree } = resolveOperations(effective.tree, operations, { makeParents: true });
  const built = build(tree, { before: effective, configured, ...madeBy(operations, mark) });
  if ('message' in built) throw new PatchRefused(built);
  const fields = differences(now.effective.tree, tree).map((difference) => ({ ...difference, ...mark }));
  const added = addFields(now.overlay, fields);
  const overlay = added.filter((field) => says(field, now.document.tree) || isOverOther(field, added));
  return { ...now, overlay, effective: built };
}

/**
 * Whether nothing can stand against a patch: entries that run are to run no more, and nothing else is said. Where two entries
 * contradict each other in that, the document would not be in force.
 */
export function takesDown({ document, effective }: InForce, operations: readonly Operation[], boot: boolean): boolean {
  const { tree, desired } = boot ? effective : document;
  return operations.every((operation) => {
    const path = parsePointer(operation.path);
    const [section = '', key = '', field] = path;
    if (operation.op !== 'add' || operation.value !== 'mounted' || path.length !== 3) return false;
    const isOfEntry = section === 'containers' && field === 'state' && isMap(fieldAt(tree, [section, key]));
    return isOfEntry && desired.containers.get(key)?.state === 'running';
  });
}

function madeBy(operations: readonly Operation[], { generation, command }: Mark) {
  const uninstalled = uninstalledBy(operations.map(({ path }) => ({ pointer: path, command })));
  return { generation, writtenBy: 'console', uninstalled } as const;
}

/**
 * A document that was built by itself, as the one that takes the place of `before`: entries that did not change stay the same
 * objects, the others are of this generation.
 */
export function inPlaceOf(before: Built, { tree, desired }: Built, generation: number): Built {
  const repositories = kept('repositories', before, { tree, desired }, (entry) => entry);
  const containers = kept('containers', before, { tree, desired }, (entry) => ({ ...entry, generation }));
  return { tree, desired: { ...desired, repositories, containers } };
}

function kept<K extends 'repositories' | 'containers', V extends EntryOf<K>>(
  section: K,
  before: Built,
  now: Built,
  change: (entry: V) => V,
): Map<string, V> {
  const [earlierTrees, trees] = [sectionOf(before.tree, section), sectionOf(now.tree, section)];
  const [earlier, entries] = [before, now].map(({ desired }) => desired[section] as ReadonlyMap<string, V>);
  const made = [...(entries ?? [])].map(([key, entry]) => {
    const known = earlier?.get(key);
    const [was, is] = [earlierTrees.get(key), trees.get(key)];
    // What stands in neither is the configuration's.
    const isSame = was === undefined || is === undefined ? was === is : sameTree(was, is);
    return [key, known !== undefined && isSame ? known : change(entry)] as const;
  });
  return new Map(made);
}

/**
 * A new document takes the place of the one before. The overlay gives way in every entry that is not as before; with `all` in
 * every one that the document states.
 */
export function adoptDocument(now: InForce, document: Built, generation: number, all = false): InForce {
  const places = now.overlay.length === 0 ? [] : placesOf(now.document.tree, document.tree, all);
  return lay(document, dropFields(now.overlay, places), now.effective, generation, now.configured);
}

/** The overlay without what concerns a name; null = without anything. */
export function dropOverlay(now: InForce, name: string | null, generation: number): InForce {
  const kept = now.overlay.filter((field) => name !== null && !isOfName(field, name));
  return lay(now.document, kept, now.effective, generation, now.configured);
}

/** Patches that cannot reach the document's file are laid over `document`, the one that the file holds. */
export function divert(now: InForce, document: Built, fields: readonly OverlayField[], generation: number): InForce {
  return lay(document, addFields(now.overlay, fields), now.effective, generation, now.configured);
}

/** What is to be removed is the overlay's alone: that gives way, and there is nothing for the document. */
function isOverlaidOnly({ overlay, document }: InForce, { op, path }: Operation): boolean {
  return op === 'remove' && overlay.some(({ pointer }) => pointer === path) && !hasField(document.tree, path);
}

/** Whether a field of the overlay changes anything: not what the document says as well, or says by saying nothing. */
function says({ pointer, value }: OverlayField, tree: Tree): boolean {
  const path = parsePointer(pointer);
  const stated = fieldAt(tree, path);
  if (value === undefined || stated !== undefined)
    return value === undefined ? stated !== undefined : !sameTree(value, stated ?? null);
  const [section, , field] = path;
  const isDefault = section === 'containers' && field === 'state' && value === 'running';
  return !isDefault || fieldAt(tree, path.slice(0, 2)) === undefined;
}

/** Whether it takes back what another field says. */
function isOverOther({ pointer, value }: OverlayField, overlay: readonly OverlayField[]): boolean {
  return value !== undefined && overlay.some((other) => other.pointer !== pointer && isWithin(pointer, other.pointer));
}

function hasField(tree: Tree, pointer: string): boolean {
  return fieldAt(tree, parsePointer(pointer)) !== undefined;
}

/** A field that only the overlay has goes into the document together with what is set below it. */
function takenAlong(overlay: readonly OverlayField[], operations: readonly Operation[]): Operation[] {
  return overlay.flatMap(({ pointer, value }) => {
    const below = operations.some(({ path }) => path !== pointer && isWithin(path, pointer));
    return below && value !== undefined ? [{ op: 'add' as const, path: pointer, value: toJson(value) }] : [];
  });
}
