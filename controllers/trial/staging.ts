// What a staged document waits for. Pure.
import type { State } from '../../state/store.ts';
import type { Target } from '../controller.ts';

/** What is lacking until it can be put into force; null = all that it needs is installed, verified and known by its digest. */
export function stagedWaits(
  state: State,
  targets: readonly Target[],
  why: (name: string) => string | null,
): string | null {
  const waits = targets.flatMap((target) => waitsOf(state, target, why) ?? []);
  if (waits.length === 0) return null;
  const more = waits.length > 3 ? `, and ${waits.length - 3} more` : '';
  return `${waits.slice(0, 3).join('; ')}${more}`;
}

function waitsOf({ staged }: State, target: Target, why: (name: string) => string | null): string | null {
  const { key, entry, package: found, version, resources } = target;
  if (entry.state === 'absent') return null;
  if (found === null) {
    const reason = why(entry.name);
    return `${key}: ${version ?? entry.version ?? 'no version of it'} is not installed${reason === null ? '' : ` (${reason})`}`;
  }
  if (found.digest === null && found.signed === null) return `${key}: its digest is not known yet`;
  if (entry.digest !== null && found.digest !== null && found.digest !== entry.digest)
    return `${key}: ${found.id} in ${found.repository} has ${found.digest}, and ${entry.digest} is asked for`;
  if (entry.source === null && staged?.repositories.get(found.repository)?.type === 'mem')
    return `${key}: ${found.id} is in memory and has no source: after a reboot nothing could go back to it`;
  const lacking = resources.find(({ id }) => id === null);
  return lacking === undefined ? null : `${key}: the resource ${lacking.name} ${lacking.requirement} is not installed`;
}
