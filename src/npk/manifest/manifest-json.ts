// The manifest in the JSON form that Northstar's clients know: maps as objects, mount options as one text.
import type { Manifest } from '../../../state/schema/manifest.ts';

declare global {
  interface JSON {
    /** A value that JSON.stringify writes as this text (ECMA-262, JSON.parse source text access). */
    rawJSON(text: string): object;
  }
}

/** A value for JSON.stringify, fields in Northstar's order; absent and empty ones are left out. */
export function manifestForInspect(manifest: Manifest): Record<string, unknown> {
  const { selinux } = manifest;
  const shown = selinux === undefined ? {} : { selinux: { mount_context: null, exec: null, ...selinux } };
  return members(Object.entries({ ...manifest, ...shown }));
}

function members(entries: Iterable<readonly [string, unknown]>): Record<string, unknown> {
  const present = [...entries].filter(([, value]) => value !== undefined);
  return Object.fromEntries(present.map(([name, value]) => [name, member(name, value)]));
}

function member(name: string, value: unknown): unknown {
  // Numbers of 64 bits would lose digits as a JavaScript number.
  if (typeof value === 'bigint') return JSON.rawJSON(value.toString());
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return name === 'options' ? value.join(',') : value.map((item) => member(name, item));
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, item]) => [key, member('', item)]));
  // What is in `custom` is the package's own: nothing in it has a meaning.
  return name === 'custom'
    ? Object.fromEntries(Object.entries(value).map(([key, item]) => [key, member('custom', item)]))
    : members(Object.entries(value));
}
