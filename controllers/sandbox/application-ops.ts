// What an application is, wherever it is: limits, ids, rights, filter. Of a start, and of whoever joins a container that runs.
import type { Op } from '../../native/wire/ops.ts';
import type { ContainerEntry } from '../../state/desired.ts';
import type { Capability, Manifest } from '../../state/schema/manifest.ts';
import { capabilityNames } from '../../state/names.ts';
import { TerminalError } from '../failure.ts';

/** An operation that needs nothing from the host, or one that still names what it needs. */
export type ApplicationOp =
  | Extract<Op, { readonly op: 'rlimit' | 'oom-score' | 'schedule' | 'umask' | 'cwd' | 'capabilities' | 'label' }>
  /** Every capability that the runtime itself has. */
  | { readonly op: 'all-capabilities' }
  /** `groups` are names of the host's group file; unknown ones are skipped. */
  | { readonly op: 'identity'; readonly uid: number; readonly gid: number; readonly groups: readonly string[] }
  | {
      readonly op: 'filter';
      readonly seccomp: NonNullable<Manifest['seccomp']>;
      readonly capabilities: readonly Capability[];
    };

/** Who it is: what its package says, and its entry. */
export interface ApplicationInput {
  readonly manifest: Manifest;
  readonly entry: Pick<ContainerEntry, 'rlimits' | 'oomScoreAdj'>;
}

const umask = 0o022;

/** RLIMIT_* of setrlimit(2). */
const rlimitNumbers = {
  cpu: 0,
  fsize: 1,
  data: 2,
  stack: 3,
  core: 4,
  rss: 5,
  nproc: 6,
  nofile: 7,
  memlock: 8,
  as: 9,
  locks: 10,
  sigpending: 11,
  msgqueue: 12,
  nice: 13,
  rtprio: 14,
  rttime: 15,
} as const;

/** SCHED_* of sched(7). */
const policyNumbers = { other: 0, fifo: 1, round_robin: 2, batch: 3, idle: 5 } as const;

/** What the application is, wherever it is: limits, ids, rights, filter. */
export function applicationOps(input: ApplicationInput): ApplicationOp[] {
  const { manifest } = input;
  const { uid, gid, capabilities = [], seccomp } = manifest;
  return [
    ...rlimitOps(input),
    ...oomScoreOps(input),
    ...scheduleOps(manifest.sched),
    { op: 'umask', mask: umask },
    { op: 'cwd', path: '/' },
    { op: 'identity', uid, gid, groups: manifest.suppl_groups ?? [] },
    capabilityOp(capabilities),
    ...(manifest.selinux?.exec === undefined ? [] : [{ op: 'label', context: manifest.selinux.exec } as const]),
    ...(seccomp === undefined ? [] : [{ op: 'filter', seccomp, capabilities } as const]),
  ];
}

/** Another user than the application's; `privileged` is root with every capability that the runtime has, and no filter. */
export interface JoinAs {
  readonly user: { readonly uid: number; readonly gid: number } | null;
  readonly privileged: boolean;
}

/** What a process that joins the container is: what the application is, unless it is asked for as something else. */
export function joinOps(input: ApplicationInput, { user, privileged }: JoinAs): ApplicationOp[] {
  const own = applicationOps(input);
  if (privileged) {
    const { uid, gid } = user ?? { uid: 0, gid: 0 };
    const kept = own.filter(({ op }) => op === 'umask' || op === 'cwd' || op === 'oom-score');
    return [...kept, { op: 'identity', uid, gid, groups: [] }, { op: 'all-capabilities' }];
  }
  if (user === null) return own;
  return own.map((op) => (op.op === 'identity' ? { ...op, ...user, groups: [] } : op));
}

function rlimitOps({ manifest, entry }: ApplicationInput): ApplicationOp[] {
  const limits = Object.entries(entry.rlimits ?? manifest.rlimits ?? {});
  return limits.flatMap(([name, limit]) => {
    const resource = rlimitNumbers[name as keyof typeof rlimitNumbers];
    return limit === undefined ? [] : [{ op: 'rlimit', resource, soft: limit.soft, hard: limit.hard } as const];
  });
}

function oomScoreOps({ manifest, entry }: ApplicationInput): ApplicationOp[] {
  const score = entry.oomScoreAdj ?? manifest.oom_score_adj ?? 0;
  return score === 0 ? [] : [{ op: 'oom-score', score }];
}

function scheduleOps(sched: Manifest['sched']): ApplicationOp[] {
  const policy = sched?.policy;
  if (policy === undefined) return [];
  if (policy === 'deadline') {
    throw new TerminalError(
      'StartFailed',
      'sched: policy deadline has no parameters in a manifest; take fifo or round_robin',
    );
  }
  const schedule = (name: keyof typeof policyNumbers, nice: number, priority: number): ApplicationOp[] => [
    { op: 'schedule', policy: policyNumbers[name], nice, priority },
  ];
  if (policy === 'idle') return schedule('idle', 0, 0);
  if ('other' in policy) return schedule('other', policy.other.nice, 0);
  if ('batch' in policy) return schedule('batch', policy.batch.nice, 0);
  if ('fifo' in policy) return schedule('fifo', 0, policy.fifo.priority);
  return schedule('round_robin', 0, policy.round_robin.priority);
}

/** Kept and raised in the ambient set, so that they survive the exec of a program without file capabilities. */
function capabilityOp(names: readonly Capability[]): ApplicationOp {
  const set = names.reduce((bits, name) => bits | (1n << BigInt(capabilityNames.indexOf(name))), 0n);
  return { op: 'capabilities', bounding: set, permitted: set, effective: set, inheritable: set, ambient: set };
}
