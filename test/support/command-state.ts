// What a command of the console meets, written down in short.
import assert from 'node:assert/strict';
import { parseDocument } from '../../state/document/parse-document.ts';
import type { Manifest } from '../../state/schema/manifest.ts';
import type { ObservedAttempt, ObservedPackage } from '../../state/observed.ts';
import { emptyState, type State } from '../../state/store.ts';

export interface Given {
  /** YAML below `containers:`. */
  readonly containers?: string;
  readonly packages?: readonly string[];
  /** Version and run of what runs, by name. */
  readonly running?: Readonly<Record<string, { readonly version: string; readonly run: number | null }>>;
  /** The same of what has ended by itself, with 0. */
  readonly ended?: Given['running'];
  /** Resources of packages, by name:version. */
  readonly mounts?: ReadonlyMap<string, Manifest['mounts']>;
  /** Packages that start by themselves. */
  readonly autostart?: readonly string[];
  /** The packages lie in a repository whose packages are mounted without being asked for. */
  readonly mountOnStart?: boolean;
  readonly lock?: Readonly<Record<string, string>>;
  readonly writtenBy?: 'person' | 'console';
}

/** The state that a command meets. */
export function stateOf({
  containers = '{}',
  packages = [],
  mounts = new Map(),
  running = {},
  ended = {},
  lock = {},
  autostart = [],
  mountOnStart = false,
  writtenBy = 'person',
}: Given): State {
  const repositories = `{ system: { type: fs, dir: /system, mountOnStart: ${mountOnStart} } }`;
  const text = `apiVersion: northstate/v1\nrepositories: ${repositories}\ncontainers: ${containers}\n`;
  const parsed = parseDocument(text, { writtenBy });
  assert.ok(parsed.ok);
  const empty = emptyState();
  const installed = new Map<string, ObservedPackage[]>();
  for (const id of packages) {
    const [name = '', version = ''] = id.split(':');
    const manifest = { mounts: mounts.get(id), ...(autostart.includes(id) && { autostart: 'relaxed' }) };
    const found = { id, name, version, repository: 'system', manifest } as unknown as ObservedPackage;
    installed.set(name, [found, ...(installed.get(name) ?? [])]);
  }
  const attempts = Object.entries(running).map(([name, { version, run }]) => {
    const attempt = { name, version, state: 'running', record: { run } } as unknown as ObservedAttempt;
    return [name, [attempt]] as const;
  });
  for (const [name, { version, run }] of Object.entries(ended)) {
    const record = { run, stop: null };
    const attempt = { name, version, state: 'exited', exit: { code: 0 }, failure: null, record };
    attempts.push([name, [attempt as unknown as ObservedAttempt]]);
  }
  const locked = Object.entries(lock).map(
    ([key, version]) => [key, { version, repository: 'system', digest: null }] as const,
  );
  const observed = { ...empty.observed, packages: installed, attempts: new Map(attempts) };
  return { ...empty, desired: parsed.desired, observed, lock: new Map(locked) };
}
