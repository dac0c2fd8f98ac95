// What follows once a command's effect is observed: what it needed only to have that effect is taken away again. Pure.
import type { Operation } from 'fast-json-patch';
import type { ContainerEntry } from '../desired.ts';
import type { State } from '../store.ts';
import { formatPointer } from '../text/pointer.ts';
import { entryFor, type Command } from './command-patches.ts';

/** The state before a command's patch, right after it, and now that its effect is observed. */
export interface Course {
  readonly before: State;
  readonly patched: State;
  readonly now: State;
}

/** The RFC 6902 operations that are left to be done; none as a rule. */
export function closingPatch(command: Command, course: Course): Operation[] {
  const { now } = course;
  switch (command.type) {
    case 'umount': {
      // What is installed without an entry is not mounted.
      const entry = entryFor(command.container, now);
      return entry !== null && isBare(entry) && !mountsByItself(entry, now) ? [removed(entry)] : [];
    }
    case 'start':
    case 'restart':
      return [...now.desired.containers.values()].flatMap((entry) =>
        isSpent(entry, course) ? [removed(entry, 'run')] : [],
      );
    default:
      return [];
  }
}

/** One more run was asked for, with nothing else in it, by an entry that asked for none before: it has been begun. */
function isSpent({ key, state, run }: ContainerEntry, { before, patched }: Course): boolean {
  if (state !== 'running' || run === null || run.init !== null || run.args !== null || run.env !== null) return false;
  const asked = patched.desired.containers.get(key)?.run;
  return asked?.id === run.id && (before.desired.containers.get(key)?.run ?? null) === null;
}

/** A command has made it, and it says `installed` and nothing else. */
function isBare(entry: ContainerEntry): boolean {
  const { writtenBy, state, source, digest, repository, restart, stop, run } = entry;
  const { dependsOn, env, args, init, cgroups, rlimits, prepare, paused, update } = entry;
  const given = [source, digest, repository, run, args, init, cgroups, rlimits].some((field) => field !== null);
  const other =
    prepare !== 'auto' ||
    paused ||
    update !== 'manual' ||
    restart.policy !== 'always' ||
    restart.limit > 0 ||
    stop.signal !== 15;
  return writtenBy === 'console' && state === 'installed' && !given && !other && dependsOn.size + env.size === 0;
}

/** Without an entry it would be mounted, or started, again. */
function mountsByItself({ name, version }: ContainerEntry, { desired, observed }: State): boolean {
  const found = observed.packages.get(name)?.find((each) => each.version === version);
  if (found === undefined) return false;
  const starts = found.manifest.autostart !== undefined && desired.autostart !== 'ignore';
  return starts || desired.repositories.get(found.repository)?.mountOnStart === true;
}

function removed({ key }: ContainerEntry, ...field: string[]): Operation {
  return { op: 'remove', path: formatPointer(['containers', key, ...field]) };
}
