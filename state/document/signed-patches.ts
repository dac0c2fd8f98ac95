// What commands may still say where documents must be signed: what runs of what the document names, and what is to stop.
import type { Operation } from 'fast-json-patch';
import { fieldAt, type OverlayField } from './overlay.ts';
import { DocumentSigned } from './refusals.ts';
import { parsePointer } from '../text/pointer.ts';
import { toJson } from '../store.ts';
import type { Tree } from '../text/tree.ts';

const fields: readonly (string | undefined)[] = ['state', 'run', 'paused'];
/** What an entry may be that the document does not have: never running. */
const lower: readonly unknown[] = ['absent', 'installed', 'mounted'];

/** Throws DocumentSigned where a patch of the overlay goes beyond state, run and paused of what the document `tree` names. */
export function checkSignedPatch(operations: readonly Operation[], tree: Tree): void {
  const beyond = operations.find((operation) => !isWithinSigned(operation, tree));
  if (beyond === undefined) return;
  const what = `${beyond.op} ${beyond.path.slice(0, 200)}`;
  throw new DocumentSigned(`${what}: only state, run and paused of containers that the document names can be changed`);
}

/** The fields of an overlay that may lie over a signed document: an earlier start may have let in others. */
export function signedOverlay(overlay: readonly OverlayField[], tree: Tree): readonly OverlayField[] {
  return overlay.filter(({ pointer: path, value }) => {
    const operation: Operation =
      value === undefined ? { op: 'remove', path } : { op: 'add', path, value: toJson(value) };
    return isWithinSigned(operation, tree);
  });
}

function isWithinSigned(operation: Operation, tree: Tree): boolean {
  if (operation.op !== 'add' && operation.op !== 'replace' && operation.op !== 'remove') return false;
  const [section, key, field] = parsePointer(operation.path);
  if (section !== 'containers' || key === undefined) return false;
  const isNamed = fieldAt(tree, [section, key]) !== undefined;
  if (isNamed) return fields.includes(field);
  if (operation.op === 'remove') return true;
  const value: unknown = operation.value;
  if (field !== undefined) return field === 'state' && lower.includes(value);
  if (typeof value !== 'object' || value === null || !('state' in value)) return false;
  return lower.includes(value.state) && Object.keys(value).every((name) => name === 'state' || name === 'repository');
}
