// The desired state as JSON and back: a start reads it from the stored generation without schema and YAML.
import type { ContainerEntry, Desired, RepositoryEntry, Run } from './desired.ts';
import { toJson } from './store.ts';

type Names<V> = Readonly<Record<string, V>>;
type StoredRun = Omit<Run, 'env'> & { readonly env: Names<string> | null };
type StoredEntry = Omit<ContainerEntry, 'env' | 'dependsOn' | 'run'> & {
  readonly env: Names<string | null>;
  readonly dependsOn: Names<'running'>;
  readonly run: StoredRun | null;
};

/** The desired state as a JSON value. */
export function encodeDesired(desired: Desired): unknown {
  return toJson(desired);
}

/** The desired state that encodeDesired() gave. Throws when it is something else. */
export function decodeDesired(json: unknown): Desired {
  const { repositories, containers, autostart } = json as {
    readonly repositories: Names<RepositoryEntry>;
    readonly containers: Names<StoredEntry>;
    readonly autostart: Desired['autostart'];
  };
  const entries = Object.entries(containers).map(([key, entry]) => [key, decodeEntry(entry)] as const);
  return { repositories: new Map(Object.entries(repositories)), containers: new Map(entries), autostart };
}

function decodeEntry(entry: StoredEntry): ContainerEntry {
  const run = entry.run && { ...entry.run, env: entry.run.env && new Map(Object.entries(entry.run.env)) };
  return {
    ...entry,
    env: new Map(Object.entries(entry.env)),
    dependsOn: new Map(Object.entries(entry.dependsOn)),
    run,
  };
}
