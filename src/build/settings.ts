// What a build system's own file says about the package, checked: the fields that this program does not know are errors.
import { z } from 'zod';

/** A manifest: the path of its file, or its fields. */
export const manifestSetting = z.union(
  [z.string().min(1), z.record(z.string(), z.unknown())],
  'must be the path of a manifest, or its fields',
);

/**
 * The settings as the schema gives them; `field` is where they stand in the file, '' = they are the file. Throws an Error
 * with file and field for the first thing that is wrong.
 */
export function checkSettings<S extends z.ZodType>(
  schema: S,
  value: unknown,
  { file, field }: { readonly file: string; readonly field: string },
): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const isUnknown = issue?.code === 'unrecognized_keys';
  const path = [...(field === '' ? [] : [field]), ...(issue?.path ?? []), ...(isUnknown ? issue.keys.slice(0, 1) : [])]
    .map(String)
    .join('.');
  throw new Error(`${file}: ${path}: ${isUnknown ? 'there is no such field' : (issue?.message ?? 'is not valid')}`);
}
