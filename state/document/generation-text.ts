// A generation as the text of its file: whole, or as a patch of one that is stored whole. Where the document is long, what a
// change costs is then as much as the change says.
import { sameBegin, sameEndAfter } from '../text/common-ends.ts';
import { encodeMapPatch, patchMap, type MapPatch } from '../text/map-patch.ts';
import { isMap, toTree, type Tree, type TreeMap } from '../text/tree.ts';
import { toJson, type Locked } from '../store.ts';
import type { Desired, RepositoryEntry } from '../desired.ts';
import { decodeDesired, decodeEntry, encodeDesired, encodeTree, encodeValue, type StoredEntry } from './encoding.ts';
import { hashText, summaryOf, type Generation, type Summary } from './generation.ts';
import { sameLock, type Lock } from './lock.ts';

type Plain = Omit<Generation, 'lock' | 'tree' | 'desired'>;

/** What both forms say by themselves. Generations of earlier versions lack what is optional. */
type Head = Omit<Plain, 'text' | 'besides' | 'signature' | 'forced' | 'trial'> &
  Partial<Pick<Plain, 'besides' | 'signature' | 'forced' | 'trial'>> & { readonly hash: string };

type Whole = Head & {
  readonly text: string;
  readonly lock: Readonly<Record<string, Locked>>;
  readonly tree: unknown;
  readonly desired: unknown;
};

/** Which one it is a patch of: numbers may be given again where somebody has deleted files. */
interface Of {
  readonly generation: number;
  readonly time: number;
  readonly hash: string;
}

type Patch = Head & {
  readonly of: Of;
  /** Characters that go, from and up to, and what stands there instead. */
  readonly text: readonly [from: number, to: number, instead: string];
  readonly lock: MapPatch;
  /** The section of containers by its members, everything else by the document's. */
  readonly tree: { readonly whole: MapPatch; readonly containers: MapPatch };
  readonly desired: Pick<Desired, 'autostart' | 'trial'> & {
    readonly repositories: MapPatch;
    readonly containers: MapPatch;
  };
};

const SECTION = 'containers';
const encoded = { same: (was: unknown, is: unknown) => was === is || encodeValue(was) === encodeValue(is) };
const values = { ...encoded, encode: encodeValue };
const locks = { same: sameLock, encode: encodeValue };

/** The whole of it. */
export async function encodeWhole({ tree, desired, lock, ...plain }: Generation): Promise<string> {
  const head = JSON.stringify({ ...plain, hash: hashText(plain.text), lock: toJson(lock) });
  return `${head.slice(0, -1)},"tree":${await encodeTree(tree)},"desired":${await encodeDesired(desired)}}`;
}

/** Throws when the text is no whole generation. */
export function decodeWhole(json: string): Generation {
  const { hash, lock, tree, desired, ...head } = JSON.parse(json) as Whole;
  if (hash !== hashText(head.text)) throw new Error('its text has another hash than was stored');
  return { ...filled(head), lock: new Map(Object.entries(lock)), tree: toTree(tree), desired: decodeDesired(desired) };
}

/** What it says more than `base`, which is stored whole; null: it cannot be said as a patch. */
export function encodePatch(base: Generation, { tree, desired, lock, text, ...head }: Generation): string | null {
  const [was, is] = [sectionOf(base.tree), sectionOf(tree)];
  if (was === null || is === null) return null;
  const from = sameBegin(base.text, text);
  const end = sameEndAfter(base.text, text, from);
  const { generation, time } = base;
  const parts = {
    lock: encodeMapPatch(base.lock, lock, locks),
    whole: encodeMapPatch(withoutSection(base.tree), withoutSection(tree), values),
    containers: encodeMapPatch(was, is, values),
    repositories: encodeMapPatch(base.desired.repositories, desired.repositories, values),
    entries: encodeMapPatch(base.desired.containers, desired.containers, values),
  };
  if (Object.values(parts).includes(null)) return null;
  const plain = JSON.stringify({
    ...{ ...head, hash: hashText(text), of: { generation, time, hash: hashText(base.text) } satisfies Of },
    text: [from, base.text.length - end, text.slice(from, text.length - end)],
  });
  const { autostart, trial } = desired;
  const rest = JSON.stringify({ autostart, trial });
  return [
    `${plain.slice(0, -1)},"lock":${parts.lock}`,
    `"tree":{"whole":${parts.whole},"containers":${parts.containers}}`,
    `"desired":{"repositories":${parts.repositories},"containers":${parts.entries},${rest.slice(1)}}`,
  ].join(',');
}

/** The generation that a patch makes of the one that it is of. Throws when the text is none, or is of another one. */
export function decodePatch(json: string, base: Generation): Generation {
  const { hash, of, text, lock, tree, desired, ...head } = JSON.parse(json) as Patch;
  if (of.generation !== base.generation || of.time !== base.time || of.hash !== hashText(base.text))
    throw new Error(`it is a patch of another generation ${of.generation} than is stored`);
  const [from, to, instead] = text;
  const made = base.text.slice(0, from) + instead + base.text.slice(to);
  if (hash !== hashText(made)) throw new Error('its text has another hash than was stored');
  const section = sectionOf(base.tree);
  if (section === null) throw new Error(`it is a patch of generation ${of.generation}, which has no containers`);
  const whole = patchMap<Tree>(withoutSection(base.tree), tree.whole, toTree);
  return {
    ...filled({ ...head, text: made }),
    lock: patchMap(base.lock, lock, (value) => value as Locked),
    tree: whole.set(SECTION, patchMap<Tree>(section, tree.containers, toTree)),
    desired: {
      repositories: patchMap(base.desired.repositories, desired.repositories, (value) => value as RepositoryEntry),
      containers: patchMap(base.desired.containers, desired.containers, (value) => decodeEntry(value as StoredEntry)),
      autostart: desired.autostart,
      trial: desired.trial,
    },
  };
}

/** What `history` shows of a patch, which needs nothing of the one that it is of. */
export function summaryOfPatch(json: string): Summary {
  return summaryOf(filled({ ...(JSON.parse(json) as Patch), text: '' }));
}

/** A lock that is stored beside a generation. */
export function decodeLock(json: string): Lock {
  return new Map(Object.entries(JSON.parse(json) as Readonly<Record<string, Locked>>));
}

function filled<T extends Omit<Head, 'hash'>>(head: T) {
  const { besides = null, signature = null, forced = false, trial = null } = head;
  return { ...head, besides, signature, forced, trial };
}

/** Null: it has none that a patch can be of. */
function sectionOf(tree: Tree): TreeMap | null {
  const section = isMap(tree) ? tree.get(SECTION) : undefined;
  return isMap(section) ? section : null;
}

/** The members of a document, the section's place among them. */
function withoutSection(tree: Tree): TreeMap {
  return isMap(tree) ? new Map([...tree].map(([key, value]) => [key, key === SECTION ? null : value])) : new Map();
}
