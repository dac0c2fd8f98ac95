// Why a container is not what the document wants: the chain of what is unmet, down to what nothing else explains. Pure.
import type { Dependency } from '../../state/desired.ts';
import type { ContainerStatus, Condition, ConditionType } from '../../state/status.ts';
import type { State } from '../../state/store.ts';
import { highest, parseRequirement } from '../../state/version.ts';
import { containerName } from '../../state/container-id.ts';
import { isHeldUnready } from '../containers/readiness.ts';
import { unsettledText, type Unsettled } from '../failure.ts';
import type { MountsStep } from '../mounts/mounts-plan.ts';
import type { RepositoryStep } from '../repositories/repositories-plan.ts';

/** One link of the chain that keeps a container from being what the document wants. */
export interface Unmet {
  readonly container: string;
  /** What it is not: a phase that is wanted, or a condition that does not hold. */
  readonly unmet: string;
  readonly reason: string;
  readonly message: string;
  readonly because: readonly Unmet[];
}

/** Links of a chain: dependencies of the document have no cycles, but what is observed may lag behind it. */
const LONGEST = 16;

/** What is still to be done for a name, and what failed of it, as Reconciler.explain gives it. */
type Remaining = (name: string) => readonly Unsettled[];

/** The chain that begins at a key of the status; null when the container is as the document wants it, or not known. */
export function unmetOf(state: State, key: string, remaining: Remaining): Unmet | null {
  return chainOf({ state, remaining }, key, 0);
}

interface Look {
  readonly state: State;
  readonly remaining: Remaining;
}

const wantedPhase = { absent: 'Absent', installed: 'Installed', mounted: 'Mounted', running: 'Running' } as const;

function chainOf(look: Look, key: string, depth: number): Unmet | null {
  const status = look.state.status.containers[key];
  if (status === undefined) return null;
  const left = look.remaining(containerName(key));
  const unmet = wantedPhase[status.desired];
  const isDown = status.desired !== 'running' && status.pid !== null;
  if (!isDown && isReached(status) && left.length === 0) return null;
  if (status.desired === 'running') return notRunning(look, key, status, left, depth);
  const lacking = notMounted(key, status, left) ?? notInstalled(key, status, left);
  if (lacking !== null && !isDown) return lacking;
  return { container: key, unmet, reason: status.phase, message: left.map(unsettledText).join('; '), because: [] };
}

function isReached(status: ContainerStatus): boolean {
  const { desired, phase, mounted, conditions } = status;
  if (conditionOf(conditions, 'Degraded')?.status === 'True') return false;
  if (status.phase === 'Scheduled') return true;
  if (desired === 'running') return hasCome(status, 'ready') || hasCome(status, 'succeeded');
  if (desired === 'mounted') return mounted;
  return desired === 'absent' ? phase === 'Absent' : conditionOf(conditions, 'Installed')?.status === 'True';
}

/** Its dependencies come first, then what its package mounts, then its own image: the order in which they are needed. */
function notRunning(
  look: Look,
  key: string,
  status: ContainerStatus,
  left: readonly Unsettled[],
  depth: number,
): Unmet {
  const degraded = conditionOf(status.conditions, 'Degraded');
  const judged = degraded?.status === 'True' ? degraded : conditionOf(status.conditions, 'Ready');
  const image = notMounted(key, status, left);
  const because = [
    ...(depth < LONGEST ? dependencies(look, key, depth) : []),
    ...resources(look, key, status),
    ...(image === null ? [] : [image]),
  ];
  const own = left.filter(({ op, by }) => by.length === 0 && !isOf(op, imageSteps) && !isOf(op, packageSteps));
  const message = [...new Set([judged?.message ?? '', ...own.map(({ text }) => text)])]
    .filter((text) => text !== '')
    .join('; ');
  const unmet = status.phase === 'Running' ? 'Ready' : 'Running';
  const since =
    judged?.reason === 'WaitingForDependency' ? `${message}; it waits since ${judged.lastTransition}` : message;
  return { container: key, unmet, reason: judged?.reason ?? status.phase, message: since, because };
}

const come = { running: 'Running', ready: 'Ready', succeeded: 'Succeeded' } as const;

/** Whether a container has come to what is asked of a dependency. */
function hasCome({ phase, lastExit, conditions }: ContainerStatus, asked: Dependency): boolean {
  if (asked === 'succeeded')
    return phase === 'Exited' && lastExit !== null && 'code' in lastExit && lastExit.code === 0;
  const ready = conditionOf(conditions, 'Ready');
  return phase === 'Running' && (asked === 'running' || ready?.status === 'True' || ready?.reason === 'Paused');
}

function dependencies(look: Look, key: string, depth: number): Unmet[] {
  const { desired, status } = look.state;
  const entry = desired.containers.get(key);
  return [...(entry?.dependsOn ?? [])].flatMap(([name, asked]) => {
    const other = keyOf(look.state, name);
    const found = status.containers[other ?? ''];
    if (other === undefined || found === undefined) {
      return [link(name, come[asked], 'NotWanted', 'the document has no such container')];
    }
    const wanted = desired.containers.get(other);
    const isHeld = asked === 'ready' && wanted !== undefined && isHeldUnready(look.state.observed, wanted);
    if (hasCome(found, asked) && !isHeld) return [];
    const chain = chainOf(look, other, depth + 1);
    if (chain !== null) return [chain];
    if (found.desired !== 'running')
      return [link(other, come[asked], 'NotWanted', `the document wants it ${found.desired}`)];
    const ready = conditionOf(found.conditions, 'Ready');
    return [link(other, come[asked], ready?.reason ?? found.phase, ready?.message ?? '')];
  });
}

/** The key under which a name shall run, else any of its keys. */
function keyOf({ status: { containers } }: State, name: string): string | undefined {
  const keys = Object.keys(containers).filter((key) => containerName(key) === name);
  return keys.find((key) => containers[key]?.desired === 'running') ?? keys[0];
}

function resources({ state }: Look, key: string, { version }: ContainerStatus): Unmet[] {
  const { packages, mounts } = state.observed;
  const found = packages.get(containerName(key))?.find((each) => each.version === version);
  return [...(found?.manifest.mounts?.values() ?? [])].flatMap((mount) => {
    if (mount.type !== 'resource') return [];
    const versions = (packages.get(mount.name) ?? []).map((each) => each.version);
    const best = highest(parseRequirement(mount.version), versions);
    if (best === null) return [link(mount.name, 'Installed', 'NotInstalled', `no ${mount.version} of it is installed`)];
    const id = `${mount.name}:${best}`;
    const isMounted = mounts.get(mount.name)?.some((each) => each.id === id) ?? false;
    return isMounted ? [] : [link(id, 'Mounted', 'NotMounted', '')];
  });
}

type Op = (MountsStep | RepositoryStep)['op'];
const imageSteps: readonly Op[] = ['mount', 'umount'];
const packageSteps: readonly Op[] = ['install', 'uninstall'];

function notMounted(key: string, status: ContainerStatus, left: readonly Unsettled[]): Unmet | null {
  if (status.mounted || (status.desired !== 'mounted' && status.desired !== 'running')) return null;
  const lacking = notInstalled(key, status, left);
  const message = textsOf(left, imageSteps).join('; ');
  return { ...link(key, 'Mounted', 'NotMounted', message), because: lacking === null ? [] : [lacking] };
}

function notInstalled(key: string, status: ContainerStatus, left: readonly Unsettled[]): Unmet | null {
  const installed = conditionOf(status.conditions, 'Installed');
  if (status.desired === 'absent' || installed?.status !== 'False') return null;
  const missing = conditionOf(status.conditions, 'PackageMissing');
  const { reason, message } = missing?.status === 'True' ? missing : installed;
  const tries = textsOf(left, packageSteps);
  return link(key, 'Installed', reason, [message, ...tries].filter((text) => text !== '').join('; '));
}

/** What is said of the container's own steps of these kinds. */
function textsOf(left: readonly Unsettled[], ops: readonly Op[]): string[] {
  return left.filter(({ op, by }) => by.length === 0 && isOf(op, ops)).map(({ text }) => text);
}

function isOf(op: string | null, ops: readonly Op[]): boolean {
  return ops.some((each) => each === op);
}

function link(container: string, unmet: string, reason: string, message: string): Unmet {
  return { container, unmet, reason, message, because: [] };
}

function conditionOf(conditions: readonly Condition[], type: ConditionType): Condition | undefined {
  return conditions.find((condition) => condition.type === type);
}
