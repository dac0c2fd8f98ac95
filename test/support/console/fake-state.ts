// What the runtime without a kernel shows: values in the shapes of the state, with what a test says filled in.
import type { Summary } from '../../../state/document/generation.ts';
import type { Manifest, Mount } from '../../../state/schema/manifest.ts';
import type { ContainerStatus, Status } from '../../../state/status.ts';
import { unasked } from '../../../state/health.ts';
import { emptyState } from '../../../state/store.ts';

export const empty = emptyState();
export const identity = { dev: 1, ino: 1, size: 1000, mtimeMs: 0, ctimeMs: 0 };
export const observedRepository = {
  type: 'fs',
  dir: null,
  verified: false,
  integrity: 'none',
  packages: 0,
  size: 0,
  broken: [],
  error: null,
  stale: false,
} as const;
export const observedPackage = {
  logs: new Map(),
  defects: [],
  foreign: null,
  path: '/packages/x.npk',
  image: { offset: 4096, size: 4096, type: 'squashfs' },
  digest: null,
  signed: null,
  integrity: 'none',
} as const;
export const record = {
  version: '',
  entry: '',
  run: null,
  restarts: 0,
  generation: 1,
  uses: [],
  lacks: [],
  lastExit: null,
  stop: null,
  made: '',
  at: 0,
  autostart: false,
  onStop: { signal: 15, grace: 0 },
  dependsOn: [],
  beside: {},
};
export const observedAttempt = {
  state: 'running',
  pid: 4711,
  hash: '',
  preparedAt: 0,
  startedAt: 1,
  exitedAt: 0,
  exit: null,
  oomKills: 0,
  failure: null,
  after: 0,
  going: false,
  health: unasked,
} as const;

export function generation(number: number, kind: Summary['kind']): Summary {
  return { generation: number, kind, origin: kind, time: 0, schema: 'northstate/v1', runtime: '0.1.0', forced: false };
}

export function manifestOf(shown: Readonly<Record<string, unknown>>): Manifest {
  const mounts = new Map(Object.entries((shown['mounts'] ?? {}) as Record<string, Mount>));
  return { ...shown, ...(mounts.size > 0 && { mounts }) } as unknown as Manifest;
}

export function emptyStatus(): Status {
  const document = { status: 'ok', generation: 1, error: null } as const;
  return {
    ...{ generation: 1, observedGeneration: 1, converged: true, document },
    ...{
      conditions: [],
      overlay: [],
      sleep: { after: null, last: null, today: 0, reasons: {} },
      trial: null,
      repositories: {},
      containers: {},
    },
  };
}

export function containerStatus(version: string, repository = 'system'): ContainerStatus {
  return {
    version,
    repository,
    desired: 'installed',
    phase: 'Installed',
    mounted: false,
    pid: null,
    paused: false,
    since: '2026-01-01T00:00:00.000Z',
    restarts: 0,
    nextRestart: null,
    lastExit: null,
    schedule: null,
    says: '',
    conditions: [],
  };
}
