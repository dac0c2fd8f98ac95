// A manifest as `inspect` shows it: Northstar's JSON form, in which maps are objects and mount options one text.
import type { Manifest } from '../../state/manifest.ts';

declare global {
  interface JSON {
    /** A value that JSON.stringify writes as this text (ECMA-262, JSON.parse source text access). */
    rawJSON(text: string): object;
  }
}

/** A value for JSON.stringify; absent and empty fields are left out. */
export function manifestMessage(manifest: Manifest): unknown {
  return plain(manifest);
}

function plain(value: unknown, member = ''): unknown {
  if (typeof value === 'bigint') return JSON.rawJSON(value.toString());
  if (typeof value !== 'object' || value === null) return value;
  if (member === 'options') return (value as readonly string[]).join(',');
  if (member === 'custom') return value;
  if (Array.isArray(value)) return value.map((item) => plain(item));
  const entries: Iterable<[string, unknown]> = value instanceof Map ? value : Object.entries(value);
  const kept = [...entries].filter(([, item]) => item !== undefined);
  return Object.fromEntries(kept.map(([name, item]) => [name, plain(item, value instanceof Map ? '' : name)]));
}
