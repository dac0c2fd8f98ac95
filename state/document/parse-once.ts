// A stored generation whose text alone counts, read by this version once: what it makes of it is kept for its next process.
import type { Configured, Desired } from '../desired.ts';
import { toJson } from '../store.ts';
import { toTree, type Tree } from '../text/tree.ts';
import type { DocumentError } from '../text/yaml.ts';
import { understood } from '../file/understood.ts';
import { decodeDesired, encodeDesired, encodeTree } from './encoding.ts';
import type { Parser } from './parser.ts';

type Read =
  | { readonly ok: true; readonly tree: Tree; readonly desired: Desired }
  | { readonly ok: false; readonly error: DocumentError };

/** What a text says beside the repositories of the configuration; kept in `file`. */
export async function parseOnce(
  text: string,
  { parser, configured, file }: { readonly parser: Parser; readonly configured: Configured; readonly file: string },
): Promise<Read> {
  const parsed: Read[] = [];
  const key = JSON.stringify([toJson(configured), text]);
  const known = await understood(file, key, async () => {
    const now = await parser.parse(text);
    parsed.push(now);
    if (!now.ok) return null;
    return `{"tree":${await encodeTree(now.tree)},"desired":${await encodeDesired(now.desired)}}`;
  });
  const [now] = parsed;
  if (now !== undefined) return now;
  const { tree, desired } = known as { readonly tree: unknown; readonly desired: unknown };
  return { ok: true, tree: toTree(tree), desired: decodeDesired(desired) };
}
