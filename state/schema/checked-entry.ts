// An entry against its schema. One that a command has changed is mostly as it was: only its fields that are other are looked at.
import type { z } from 'zod';
import { check, type Problem } from './check-value.ts';
import { containerSchema } from './document-schema.ts';
import { isMap, sameTree, type Tree, type TreeMap } from '../text/tree.ts';

type Checked = z.output<typeof containerSchema>;

/** What entries say that were changed and found good, by their trees, which never change. Whoever only reads a document keeps none. */
const known = new WeakMap<TreeMap, Checked>();

const fields: Readonly<Record<string, z.ZodType>> = containerSchema.shape;

/** The same as check() of the whole; `before` is the entry's tree in the document before this one. No field depends on another. */
export function checkedEntry(
  tree: Tree,
  before: Tree | undefined,
  path: readonly string[],
): { value: Checked } | Problem {
  const earlier = isMap(before) ? known.get(before) : undefined;
  const value = earlier === undefined || !isMap(tree) || !isMap(before) ? null : changed(tree, before, earlier);
  // What is wrong is told of as of the whole.
  const checked = value === null ? check(containerSchema, tree, path) : { value };
  if ('value' in checked && isMap(tree) && before !== undefined) known.set(tree, checked.value);
  return checked;
}

/** What an entry says that differs in these fields from one that says `earlier`; null: it is no good one. */
function changed(tree: TreeMap, before: TreeMap, earlier: Checked): Checked | null {
  const value: Record<string, unknown> = { ...earlier };
  for (const key of new Set([...before.keys(), ...tree.keys()])) {
    const [was, is] = [before.get(key), tree.get(key)];
    if (was !== undefined && is !== undefined && sameTree(was, is)) continue;
    const schema = Object.hasOwn(fields, key) ? fields[key] : undefined;
    if (schema === undefined) return null;
    const checked = is === undefined ? ofNothing(schema) : check(schema, is, [key]);
    if (checked === null || 'message' in checked) return null;
    if (checked.value === undefined) Reflect.deleteProperty(value, key);
    else value[key] = checked.value;
  }
  return value as Checked;
}

/** What a field that is left out says; null: it must not be. */
function ofNothing(schema: z.ZodType): { value: unknown } | null {
  const result = schema.safeParse(undefined);
  return result.success ? { value: result.data } : null;
}
