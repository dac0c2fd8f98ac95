// What a document says of itself: which one it is, how new, for which devices and runtimes.
import { isMap, type Tree } from './text/tree.ts';
import { matches, parseRequirement, type Requirement } from './version.ts';

export interface Metadata {
  readonly serial: number | null;
  /** Devices that it is for; null = any. */
  readonly compatible: readonly string[] | null;
  /** `northstate` and a requirement; null = any runtime. */
  readonly requires: string | null;
}

/** What the document says that was found good. What is of another form counts as not said. */
export function metadataOf(tree: Tree): Metadata {
  const found = isMap(tree) ? tree.get('metadata') : undefined;
  const [serial, compatible, requires] = ['serial', 'compatible', 'requires'].map((field) =>
    isMap(found) ? found.get(field) : undefined,
  );
  return {
    serial: typeof serial === 'number' ? serial : null,
    compatible: Array.isArray(compatible) ? compatible.map(String) : null,
    requires: typeof requires === 'string' ? requires : null,
  };
}

/** Reads `requires`: northstate, and a requirement in Cargo's grammar. Throws when it is something else. */
export function parseRequires(text: string): Requirement {
  const found = /^northstate\s+(\S.*)$/.exec(text);
  if (found === null) throw new Error('northstate and a requirement are expected, such as northstate >=0.2');
  return parseRequirement(found[1] ?? '');
}

/** Whether a runtime is what `requires` asks for; null asks for nothing, and so does what cannot be read. */
export function meets(asked: string | null, runtime: string): boolean {
  if (asked === null) return true;
  try {
    return matches(parseRequires(asked), runtime.replace(/[-+].*$/, ''));
  } catch {
    return true; // the schema says what is wrong with it
  }
}
