// Whether what a document asks for is reached, will be, or cannot be: what --wait waits for. Pure.
import { hasFailed, hasSucceeded, newestDone } from '../../state/ended-run.ts';
import type { ContainerEntry } from '../../state/desired.ts';
import type { ContainerStatus, ConditionType } from '../../state/status.ts';
import type { State } from '../../state/store.ts';
import { containerName } from '../../state/container-id.ts';
import { isHeldUnready } from '../containers/readiness.ts';
import type { Left } from '../failure.ts';
import { isUnsettled } from './container-status.ts';
import { isUnderWay } from './phase.ts';

/** `reason`: what is missing, or has failed; null when everything is reached. */
export interface Reached {
  readonly result: 'converged' | 'failed' | 'moving';
  readonly reason: string | null;
}

interface Look {
  readonly state: State;
  /** What the loop could not do, by container name. */
  readonly left: ReadonlyMap<string, Left>;
}

const here: Reached = { result: 'converged', reason: null };
/** Dependencies have no cycles, but what is observed may lag behind the document. */
const deepest = 64;

/**
 * Judges the entries that a generation has changed; null: all that is there. What a console has ordered is nobody's wait but
 * its own. The worst of them is what is said of all.
 */
export function reachedOf(look: Look, generation: number | null): Reached {
  const entries = [...look.state.desired.containers.values()];
  const counts = entries.filter((entry) =>
    generation === null ? entry.changedBy === 'person' : entry.generation === generation,
  );
  const all = [
    ...counts.map((entry) => judge(look, entry, 0)),
    ...(generation === null ? unnamed(look, new Set(entries.map(({ name }) => name))) : []),
  ];
  return worstOf(all) ?? here;
}

/** What has become of these entries, of those that there are. */
export function outcomesOf(look: Look, keys: readonly string[]): readonly (Reached & { readonly key: string })[] {
  return keys.flatMap((key) => {
    const entry = look.state.desired.containers.get(key);
    return entry === undefined ? [] : [{ key, ...judge(look, entry, 0) }];
  });
}

function worstOf(all: readonly Reached[]): Reached | undefined {
  return all.find(({ result }) => result === 'failed') ?? all.find(({ result }) => result === 'moving');
}

/** What starts by itself, and what is to go, of names that have no entry. */
function unnamed({ state, left }: Look, named: ReadonlySet<string>): Reached[] {
  const moving = Object.entries(state.status.containers).flatMap(([key, { phase }]): Reached[] => {
    const moves = !named.has(containerName(key)) && isUnsettled(phase) && phase !== 'Failed';
    return moves ? [{ result: 'moving', reason: `${key}: ${phase}` }] : [];
  });
  const going = [...left].flatMap(([name, { steps, failures }]): Reached[] => {
    if (named.has(name)) return [];
    const isTried = failures.some(({ retryAt }) => retryAt !== null) || isMoving({ state, left }, name);
    const reason = `${name}: ${failures[0]?.message ?? steps[0]?.waits ?? 'something is left'}`;
    return [{ result: isTried ? 'moving' : 'failed', reason }];
  });
  return [...moving, ...going];
}

/** Steps that are left wait for a start or an end of the name that comes about. */
function isMoving({ state }: Look, name: string): boolean {
  return state.observed.attempts.get(name)?.some(isUnderWay) === true;
}

function judge(look: Look, entry: ContainerEntry, depth: number): Reached {
  const { key, name } = entry;
  const status = look.state.status.containers[key];
  if (status === undefined) return { result: 'moving', reason: `nothing is known of ${key} yet` };
  const { steps = [], failures = [] } = look.left.get(name) ?? {};
  const isDone = steps.length === 0 && failures.length === 0;
  if (isDone && isReached(entry, status)) return here;
  if (isDone && status.phase === 'Exited') return ended(look, entry, status);
  const reason = `${key}: ${why(status, { steps, failures })}`;
  if (status.phase === 'Failed') return { result: 'failed', reason };
  if (failures.some(({ retryAt }) => retryAt !== null) || isMoving(look, name)) return { result: 'moving', reason };
  const isGated = !isDone && failures.length === 0 && steps.every(({ gated }) => gated === true);
  const gate = waitsFor(look, entry, { status, isGated }, depth);
  if (gate !== null) return gate;
  // What is left waits for something that nothing here brings about.
  return { result: isDone ? 'moving' : 'failed', reason };
}

function isReached(entry: ContainerEntry, { phase, conditions }: ContainerStatus): boolean {
  if (phase === 'Stopping' || phase === 'Failed') return false;
  if (entry.state !== 'running' || phase === 'Scheduled') return true;
  const ready = conditions.find(({ type }) => type === 'Ready');
  return phase === 'Running' && (ready?.status === 'True' || (entry.paused && ready?.reason === 'Paused'));
}

/** Of a run that has ended, and that nothing answers. */
function ended({ state }: Look, entry: ContainerEntry, status: ContainerStatus): Reached {
  const attempts = state.observed.attempts.get(entry.name) ?? [];
  const remembered = { attempts, ran: state.observed.ran.get(entry.name) ?? null };
  if (hasSucceeded(entry, remembered)) return here;
  const last = newestDone(attempts, entry);
  const isOver = last === null || hasFailed(last) || last.exit !== null || (remembered.ran?.exit ?? null) !== null;
  return { result: isOver ? 'failed' : 'moving', reason: `${entry.key}: ${messageOf(status, 'Ready')}` };
}

/** What its dependencies keep an entry from, its first start or (`isGated`) its replacement; null: nothing. */
function waitsFor(
  look: Look,
  entry: ContainerEntry,
  { status: { conditions }, isGated }: { readonly status: ContainerStatus; readonly isGated: boolean },
  depth: number,
): Reached | null {
  const ready = conditions.find(({ type }) => type === 'Ready');
  if ((ready?.reason !== 'WaitingForDependency' && !isGated) || depth > deepest) return null;
  const all = [...entry.dependsOn].map(([name, asked]) => {
    const other = [...look.state.desired.containers.values()].find(
      (each) => each.name === name && each.state === 'running',
    );
    if (other === undefined) return { result: 'failed', reason: `${name} is not wanted` } as const;
    const isOver = look.state.status.containers[other.key]?.phase === 'Exited';
    if (isOver && asked !== 'succeeded') return { result: 'failed', reason: `${name} has ended` } as const;
    const found = judge(look, other, depth + 1);
    if (found.result !== 'converged' || asked !== 'ready' || !isHeldUnready(look.state.observed, other)) return found;
    return { result: 'failed', reason: `${name} is paused before it was ready` } as const;
  });
  const worst = worstOf(all);
  const names = ready?.reason === 'WaitingForDependency' ? ready.message : [...entry.dependsOn.keys()].join(', ');
  const reason = `${entry.key} waits for ${names}`;
  if (worst === undefined) return { result: 'moving', reason };
  return { result: worst.result, reason: `${reason}; ${worst.reason}` };
}

function why(status: ContainerStatus, { steps, failures }: Left): string {
  const failure = failures[0]?.message ?? '';
  const degraded = status.conditions.find(({ type, status: is }) => type === 'Degraded' && is === 'True');
  const waits = steps.find((step) => step.waits !== null)?.waits ?? '';
  const texts = [failure, degraded?.message ?? '', messageOf(status, 'Ready'), waits].filter((text) => text !== '');
  if (texts[0] !== undefined) return `${status.phase}, ${texts[0]}`;
  const unready = status.conditions.find(({ type }) => type === 'Ready')?.reason === 'NotReady';
  return unready ? `${status.phase}, not ready yet` : `it is ${status.phase}`;
}

function messageOf({ conditions }: ContainerStatus, type: ConditionType): string {
  return conditions.find((condition) => condition.type === type)?.message ?? '';
}
