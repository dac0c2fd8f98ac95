// Sandboxes that are made in advance (`prepare: auto`): for which containers, how many, and when they are given up. Pure.
import type { ObservedAttempt } from '../../state/observed.ts';
import type { Ahead } from '../../state/store.ts';
import type { Target, View } from '../controller.ts';
import { hasInit, isSandbox, madeOf, startsByItself } from './candidate.ts';

/** Bytes of the machine's memory, and those that the kernel can still give without swapping. */
export interface Memory {
  readonly total: number;
  readonly available: number;
}

/** Of the machine's memory all of them together may take this part, at so many bytes for each (test/bench/README.md). */
const PART = 1 / 128;
const COST = 384 * 1024;
const MOST = 32;
/** What must be available for one more, and below what all are given up, as parts of the memory: far enough apart. */
const AMPLE = 1 / 8;
const TIGHT = 1 / 16;

/** How many there may be on a machine. */
export function mostAhead({ total }: Pick<Memory, 'total'>): number {
  return Math.min(MOST, Math.floor((total * PART) / COST));
}

/**
 * What is said of each name from now on, of whom nothing is under way: who has run last comes first. What has failed is not
 * tried again as long as it would be made from the same.
 */
export function chooseAhead(views: readonly View[], memory: Memory): ReadonlyMap<string, Ahead> {
  const said = new Map<string, Ahead>();
  for (const { name, ahead } of views) if (ahead?.what === 'failed') said.set(name, ahead);
  const ready = views.flatMap((view) => {
    const made = view.attempts.find(isReadyAhead)?.record.made;
    return made === undefined ? [] : ([[view.name, made]] as const);
  });
  if (memory.available < memory.total * TIGHT) {
    for (const [name, made] of ready) said.set(name, { made, what: 'tight' });
    return said;
  }
  const room = memory.available < memory.total * AMPLE ? 0 : mostAhead(memory) - ready.length;
  const lacking = views
    .flatMap((view) => {
      const made = lacks(view);
      return made === null || said.get(view.name)?.made === made ? [] : [{ view, made }];
    })
    .sort((one, other) => lastEnd(other.view) - lastEnd(one.view));
  for (const { view, made } of lacking.slice(0, Math.max(0, room))) said.set(view.name, { made, what: 'make' });
  return said;
}

/** What the sandbox would be made from that a name might have and has not; null = there is none. */
function lacks(view: View): string | null {
  const target = aheadTarget(view);
  const lives = view.attempts.some(({ state }) => state !== 'exited' && state !== 'failed');
  return target === null || lives || view.holding ? null : madeOf(view, target);
}

function lastEnd({ attempts }: View): number {
  return Math.max(0, ...attempts.map(({ exitedAt }) => exitedAt));
}

/** The target of a name whose sandbox is to be there although nobody asks for it; null = none is. */
export function keptAhead(view: View): Target | null {
  const target = aheadTarget(view);
  const made = target === null ? null : madeOf(view, target);
  if (made === null) return null;
  const isKept =
    view.ahead?.made === made
      ? view.ahead.what === 'make'
      : view.attempts.some((attempt) => isReadyAhead(attempt) && attempt.record.made === made);
  return isKept ? target : null;
}

/** What somebody may start, and of which a sandbox holds on to nothing that others may want back meanwhile. */
function aheadTarget(view: View): Target | null {
  if (view.stopping || view.attempts.some(({ state }) => state === 'running')) return null;
  if (view.targets.some(({ entry }) => entry.state === 'running')) return null;
  return view.targets.find((target) => target.entry.state === 'mounted' && isMadeAhead(target)) ?? null;
}

function isMadeAhead({ entry, package: found }: Target): boolean {
  if (entry.prepare !== 'auto' || found === null || !hasInit(entry, found)) return false;
  const { mounts, network } = found.manifest;
  // File systems and namespaces of the host, and images that are mounted for somebody else.
  const holds = [...(mounts?.values() ?? [])].some(({ type }) => type === 'bind' || type === 'resource');
  return !holds && (typeof network !== 'object' || !('namespace' in network));
}

function isReadyAhead(attempt: ObservedAttempt): boolean {
  return attempt.record.ahead === true && isSandbox(attempt) && !startsByItself(attempt);
}
