// One value of the document against its schema, with the path of the first thing that is wrong.
import { z } from 'zod';
import { isList, isMap, type Tree } from '../text/tree.ts';

/** What is wrong with a document and where; `atKey`: it is the key at that path, not its value. */
export interface Problem {
  readonly path: readonly string[];
  readonly atKey: boolean;
  readonly message: string;
}

/** A key that cannot stand where it stands. */
class KeyRefused extends Error {
  readonly path: readonly string[];

  constructor(path: readonly string[], message: string) {
    super(message);
    this.path = path;
  }
}

/** The value as the schema gives it, with defaults, or what is wrong with the value at `path`. */
export function check<S extends z.ZodType>(
  schema: S,
  tree: Tree,
  path: readonly string[],
): { value: z.output<S> } | Problem {
  try {
    const result = schema.safeParse(toInput(tree, schema, path));
    return result.success ? { value: result.data } : problemOf(deepest(result.error.issues), path);
  } catch (error) {
    if (!(error instanceof KeyRefused)) throw error;
    return { path: error.path, atKey: true, message: error.message };
  }
}

function problemOf(issue: z.core.$ZodIssue, path: readonly string[]): Problem {
  const place = [...path, ...issue.path.map(String)];
  if (issue.code !== 'unrecognized_keys') return { path: place, atKey: false, message: issue.message };
  const [key = ''] = issue.keys;
  return { path: [...place, key], atKey: true, message: unknownKey(key) };
}

function unknownKey(key: string): string {
  return `the key ${JSON.stringify(key)} is not known here`;
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

/** The tree in the form that zod reads: objects where the schema has fixed keys, Maps where it has names. Throws KeyRefused. */
function toInput(tree: Tree, schema: z.core.$ZodType | undefined, path: readonly string[]): unknown {
  if (isList(tree)) {
    const array = alternatives(schema).find((one) => one instanceof z.ZodArray);
    return tree.map((item, index) => toInput(item, array?.element, [...path, String(index)]));
  }
  if (!isMap(tree)) return tree;
  const kind = alternatives(schema).find(
    (one) => one instanceof z.ZodMap || one instanceof z.ZodObject || one instanceof z.ZodRecord,
  );
  if (kind instanceof z.ZodMap) {
    const members = [...tree].map(([key, member]) => {
      const named = z.safeParse(kind.keyType, key);
      if (!named.success) throw new KeyRefused([...path, key], named.error.issues[0]?.message ?? unknownKey(key));
      return [key, toInput(member, kind.valueType, [...path, key])] as const;
    });
    return new Map(members);
  }
  const object: Record<string, unknown> = {};
  for (const [key, member] of tree) {
    if (key === '__proto__') throw new KeyRefused([...path, key], unknownKey(key));
    const inner =
      kind instanceof z.ZodObject ? (kind.shape as Readonly<Record<string, z.core.$ZodType>>)[key] : kind?.valueType;
    object[key] = toInput(member, inner, [...path, key]);
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
