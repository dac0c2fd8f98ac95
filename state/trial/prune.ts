// What a new document would stop: more than half of what runs is most often a mistake. Pure.
import type { Desired } from '../desired.ts';
import type { Observed } from '../observed.ts';

/** Why a document is not taken without being told that it may; null = it stops no more than half. A replacement is no stop. */
export function pruneProblem(
  { observed, desired }: { readonly observed: Pick<Observed, 'attempts'>; readonly desired: Desired },
  next: Desired,
): string | null {
  const runs = (of: Desired, name: string): boolean =>
    [...of.containers.values()].some((entry) => entry.name === name && entry.state === 'running');
  const running = [...observed.attempts]
    .filter(([name, all]) => all.some(({ state }) => state === 'running') && runs(desired, name))
    .map(([name]) => name);
  const stopped = running.filter((name) => !runs(next, name));
  if (stopped.length * 2 <= running.length) return null;
  const shown = stopped.slice(0, 3).join(', ') + (stopped.length > 3 ? `, and ${stopped.length - 3} more` : '');
  return `it would stop ${stopped.length} of ${running.length} containers that run (${shown}): say trial: { prune: true } in it, or apply --prune`;
}
