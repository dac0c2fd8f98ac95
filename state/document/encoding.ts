// Trees and the desired state as JSON and back: a start reads them from the stored generation without schema and YAML.
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ContainerEntry, Dependency, Desired, RepositoryEntry, Run } from '../desired.ts';
import { toJson } from '../store.ts';
import { isMap, type Tree } from '../text/tree.ts';

type Names<V> = Readonly<Record<string, V>>;
type StoredRun = Omit<Run, 'env'> & { readonly env: Names<string> | null };
/** A container's entry as JSON. */
export type StoredEntry = Omit<ContainerEntry, 'env' | 'dependsOn' | 'run' | 'schedule'> & {
  /** Generations of earlier versions have none. */
  readonly schedule?: ContainerEntry['schedule'];
  readonly env: Names<string | null>;
  readonly dependsOn: Names<Dependency>;
  readonly run: StoredRun | null;
};

/** ms of encoding after which the event loop gets its turn. */
const SLICE = 0.5;
const texts = new WeakMap<object, string>();

/** The desired state as JSON text. Only entries that are new since the last time are encoded, a few in each turn of the loop. */
export async function encodeDesired({ repositories, containers, autostart, trial }: Desired): Promise<string> {
  const parts = [
    `"repositories":${await encodeMembers(repositories)}`,
    `"containers":${await encodeMembers(containers)}`,
  ];
  return `{${parts.join(',')},"autostart":${JSON.stringify(autostart)},"trial":${JSON.stringify(trial)}}`;
}

/** A document's tree as JSON text, in the same manner. */
export async function encodeTree(tree: Tree): Promise<string> {
  if (!isMap(tree)) return encodeValue(tree);
  const parts: string[] = [];
  for (const [key, member] of tree) {
    parts.push(`${JSON.stringify(key)}:${isMap(member) ? await encodeMembers(member) : encodeValue(member)}`);
  }
  return `{${parts.join(',')}}`;
}

async function encodeMembers(members: ReadonlyMap<string, unknown>): Promise<string> {
  const parts: string[] = [];
  let began = process.uptime();
  for (const [key, member] of members) {
    parts.push(`${JSON.stringify(key)}:${encodeValue(member)}`);
    if ((process.uptime() - began) * 1000 < SLICE) continue;
    await nextTurn();
    began = process.uptime();
  }
  return `{${parts.join(',')}}`;
}

/** What is frozen, or not changed any more, as JSON text: encoded once. */
export function encodeValue(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const known = texts.get(value);
  if (known !== undefined) return known;
  const text = JSON.stringify(toJson(value));
  texts.set(value, text);
  return text;
}

/** The desired state of what encodeDesired() gave, parsed. Throws when it is something else. */
export function decodeDesired(json: unknown): Desired {
  const {
    repositories,
    containers,
    autostart,
    trial = null,
  } = json as {
    readonly repositories: Names<RepositoryEntry>;
    readonly containers: Names<StoredEntry>;
    readonly autostart: Desired['autostart'];
    /** Generations of earlier versions do not say it. */
    readonly trial?: Desired['trial'];
  };
  const entries = Object.entries(containers).map(([key, entry]) => [key, decodeEntry(entry)] as const);
  return { repositories: new Map(Object.entries(repositories)), containers: new Map(entries), autostart, trial };
}

/** A container's entry from its JSON. */
export function decodeEntry(entry: StoredEntry): ContainerEntry {
  const run = entry.run && { ...entry.run, env: entry.run.env && new Map(Object.entries(entry.run.env)) };
  return {
    ...entry,
    schedule: entry.schedule ?? null,
    env: new Map(Object.entries(entry.env)),
    dependsOn: new Map(Object.entries(entry.dependsOn)),
    run,
  };
}
