// In which phase of its life a target is. Pure.
import type { ObservedAttempt } from '../../state/observed.ts';
import type { Phase } from '../../state/status.ts';
import type { Target, View } from '../controller.ts';
import { decide, wanted, type Decision } from '../containers/containers-plan.ts';
import { newestDone } from '../../state/ended-run.ts';
import type { StepFailure, Left } from '../failure.ts';

/** Everything that the status of one target is made from. */
export interface Facts {
  readonly view: View;
  readonly target: Target;
  readonly decision: Decision;
  readonly left: Left;
  /** The attempt of this target that runs, null when none does. */
  readonly running: ObservedAttempt | null;
  /** The newest attempt of this version that has ended or could not start. */
  readonly done: ObservedAttempt | null;
  readonly phase: Phase;
  /** What is left of failures that no retry mends. */
  readonly terminal: StepFailure | null;
}

/** Gathers the facts about every target of a name. */
export function factsOf(view: View, left: Left): Facts[] {
  const decision = decide(view);
  const terminal = left.failures.find(({ retryAt }) => retryAt === null) ?? null;
  return view.targets.map((target) => {
    const own = view.attempts.filter(({ version }) => belongs(version, target, view));
    const running = own.find(({ state }) => state === 'running') ?? null;
    const done = newestDone(own, target.entry);
    const phase = phaseOf(view, target, decision, running, terminal);
    return { view, target, decision, left, running, done, phase, terminal };
  });
}

function phaseOf(
  view: View,
  target: Target,
  { verdict }: Decision,
  running: ObservedAttempt | null,
  terminal: StepFailure | null,
): Phase {
  const wants = wanted(view);
  if (running !== null) {
    const { stop } = running.record;
    const stops = wants === null || (stop !== null && stop.deadline !== null);
    if (stops) return 'Stopping';
    // It has been answered that it runs, and which process that is comes a moment later.
    return running.pid === 0 ? 'Starting' : 'Running';
  }
  if (wants === target && verdict !== null) {
    if (verdict.kind === 'failed') return 'Failed';
    if (verdict.kind === 'exited') return 'Exited';
    if (verdict.kind === 'scheduled') return 'Scheduled';
    if (verdict.kind === 'backoff' && verdict.at > view.now) return 'Backoff';
    if (terminal !== null) return 'Failed';
    return target.package === null ? 'Absent' : 'Starting';
  }
  if (terminal !== null && !view.stopping) return 'Failed';
  if (target.package === null) return 'Absent';
  return isMounted(view, target) ? 'Mounted' : 'Installed';
}

/** Whether a version is the target's; to one that nothing installed fits any more belongs what is no other target's. */
function belongs(version: string, target: Target, { targets }: View): boolean {
  if (target.version !== null) return version === target.version;
  return targets.every((each) => each.version !== version);
}

/** A start that waits for an end, or an end: it comes about, and the steps that are left wait for it. */
export function isUnderWay({ state, going, record: { stop } }: ObservedAttempt): boolean {
  return (state === 'prepared' && going) || (state === 'running' && stop !== null && stop.deadline !== null);
}

/** Whether the image of a target is mounted. */
export function isMounted({ mounts }: View, { version }: Target): boolean {
  return mounts.some((mount) => mount.version === version);
}

/** Whether what runs of a target has been frozen. */
export function isPaused({ view, running }: Pick<Facts, 'view' | 'running'>): boolean {
  return running !== null && view.cgroup?.frozen.get(running.id) === 'frozen';
}
