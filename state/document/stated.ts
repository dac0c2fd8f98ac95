// What people have stated: a patch that gives a field its default back takes it away where they had written none.
import type { Operation } from 'fast-json-patch';
import type { Core } from './core.ts';
import { fieldAt } from './overlay.ts';
import { parsePointer } from '../text/pointer.ts';
import { isMap, type Tree } from '../text/tree.ts';

/** Gives the operations with `remove` in the place of such an `add`. Of `state` alone: commands set nothing else to its default. */
export function createStated(
  core: Pick<Core, 'generations' | 'inForce'>,
): (operations: readonly Operation[]) => readonly Operation[] | Promise<readonly Operation[]> {
  let known: { readonly generation: number; readonly tree: Tree } | null = null;

  /** What the newest document says that no console has made; null when there is none, or it cannot be read now. */
  async function newest(): Promise<Tree | null> {
    const last = core.generations.list().findLast(({ kind }) => kind !== 'console');
    if (last === undefined) return null;
    if (known?.generation === last.generation) return known.tree;
    const found = await core.generations.read(last.generation);
    known = found === null ? null : { generation: last.generation, tree: found.tree };
    return found?.tree ?? null;
  }

  function setsBack(operation: Operation): boolean {
    if (operation.op !== 'add' || operation.value !== 'running') return false;
    const path = parsePointer(operation.path);
    const [section, , field] = path;
    const isState = section === 'containers' && field === 'state' && path.length === 3;
    return isState && fieldAt(core.inForce.document.tree, path) !== undefined;
  }

  async function tidy(operations: readonly Operation[]): Promise<readonly Operation[]> {
    const stated = await newest();
    if (stated === null) return operations;
    return operations.map((operation) => {
      const entry = fieldAt(stated, parsePointer(operation.path).slice(0, 2));
      const isMissing = setsBack(operation) && isMap(entry) && !entry.has('state');
      return isMissing ? { op: 'remove', path: operation.path } : operation;
    });
  }

  // Most patches set nothing back, and are not to wait.
  return (operations) => (operations.some(setsBack) ? tidy(operations) : operations);
}
