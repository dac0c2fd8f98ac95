// One value of the document against its schema, with the path of the first thing that is wrong.
import { z } from 'zod';
import { isList, isMap, type Tree } from './tree.ts';

/** What is wrong with a document and where; `atKey`: it is the key at that path, not its value. */
export interface Problem {
  readonly path: readonly string[];
  readonly atKey: boolean;
  readonly message: string;
}

/** The value as the schema gives it, with defaults, or what is wrong with the value at `path`. */
export function check<S extends z.ZodType>(
  schema: S,
  tree: Tree,
  path: readonly string[],
): { value: z.output<S> } | Problem {
  const input = toInput(tree, schema);
  if (input === forbiddenName) return { path, atKey: false, message: 'the key "__proto__" is not known here' };
  const result = schema.safeParse(input);
  if (result.success) return { value: result.data };
  const issue = deepest(result.error.issues);
  const place = [...path, ...issue.path.map(String)];
  if (issue.code === 'unrecognized_keys') {
    const [key = ''] = issue.keys;
    return { path: [...place, key], atKey: true, message: `the key ${JSON.stringify(key)} is not known here` };
  }
  if (issue.code === 'invalid_key') {
    return { path: place, atKey: true, message: issue.issues[0]?.message ?? issue.message };
  }
  return { path: place, atKey: false, message: issue.message };
}

/** Of the alternatives of a union the issues of that which came furthest: it is what the author meant. */
function deepest(issues: readonly z.core.$ZodIssue[], base: readonly PropertyKey[] = []): z.core.$ZodIssue {
  const found = issues.map((issue) => {
    const path = [...base, ...issue.path];
    const inner =
      issue.code === 'invalid_union' ? issue.errors : issue.code === 'invalid_element' ? [issue.issues] : [];
    const below = inner.filter((list) => list.length > 0).map((list) => deepest(list, path));
    return below.reduce((best, one) => (one.path.length > best.path.length ? one : best), { ...issue, path });
  });
  const [first, ...others] = found;
  if (first === undefined) throw new Error('a refusal without an issue');
  return others.reduce((best, one) => (one.path.length > best.path.length ? one : best), first);
}

const forbiddenName = Symbol('__proto__');

/** The tree in the form that zod reads: objects where the schema has fixed keys, Maps where it has names. */
function toInput(tree: Tree, schema: z.core.$ZodType | undefined): unknown {
  if (isList(tree)) {
    const array = alternatives(schema).find((one) => one instanceof z.ZodArray);
    const items = tree.map((item) => toInput(item, array?.element));
    return items.includes(forbiddenName) ? forbiddenName : items;
  }
  if (!isMap(tree)) return tree;
  const kind = alternatives(schema).find(
    (one) => one instanceof z.ZodMap || one instanceof z.ZodObject || one instanceof z.ZodRecord,
  );
  if (kind instanceof z.ZodMap) {
    const map = new Map([...tree].map(([key, member]) => [key, toInput(member, kind.valueType)]));
    return [...map.values()].includes(forbiddenName) ? forbiddenName : map;
  }
  const object: Record<string, unknown> = {};
  for (const [key, member] of tree) {
    if (key === '__proto__') return forbiddenName;
    const inner =
      kind instanceof z.ZodObject ? (kind.shape as Readonly<Record<string, z.core.$ZodType>>)[key] : kind?.valueType;
    object[key] = toInput(member, inner);
    if (object[key] === forbiddenName) return forbiddenName;
  }
  return object;
}

/** The schemas that a value may be held against, out of their wrappers. */
function alternatives(schema: z.core.$ZodType | undefined): readonly z.core.$ZodType[] {
  if (schema instanceof z.ZodUnion) return schema.options.flatMap(alternatives);
  if (schema instanceof z.ZodPipe) return alternatives(schema.in);
  if (
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodNullable ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault
  ) {
    return alternatives(schema.unwrap());
  }
  return schema === undefined ? [] : [schema];
}
