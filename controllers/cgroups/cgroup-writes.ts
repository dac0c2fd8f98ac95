// Bringing the files of a group to the limits that a section asks for: what differs, in the order that the kernel accepts.
import { constants, existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Cgroups as Section } from '../../state/schema/manifest.ts';
import { openDescriptors, readControl } from './cgroup-files.ts';
import { branchesWith, groupsIn, type Tree } from './cgroup-groups.ts';
import { limitsOf, summaryOf } from './cgroup-limits.ts';
import type { Limit } from './cgroup-limit.ts';

/** Values that are written when the application starts, in this order, into files opened before. */
export interface LimitFiles {
  readonly files: readonly { readonly fd: number; readonly bytes: Uint8Array; readonly path: string }[];
  close(): void;
}

interface LimitWrite extends Limit {
  readonly path: string;
  readonly now: string | null;
}

/** What has to be written so that a group is as the section asks. Throws TerminalError (NoController, BadLimit). */
export function changesFor(tree: Tree, name: string, section: Section | null): LimitWrite[] {
  const groups = groupsIn(branchesWith(tree, name), name);
  const changes = limitsOf(section, tree.hierarchies).limits.flatMap((limit): LimitWrite[] => {
    const group = groups.get(limit.controller);
    if (group === undefined) return [];
    const path = join(group, limit.file);
    if (limit.shown === null) return [{ ...limit, path, now: null }];
    const { file, now } = shownBy(limit, group);
    // A host may lack a file (memory.memsw without swap accounting): that matters only to whom it was asked for.
    const isMissedByNobody = now === null && limit.shown === limit.initial;
    if (now === limit.shown || isMissedByNobody) return [];
    const value = file === limit.instead?.file ? limit.instead.value : limit.value;
    if (limit.reset === undefined) return [{ ...limit, value, path: join(group, file), now }];
    const lines = linesToWrite(value, readControl(join(group, file)) ?? '', limit.reset);
    return lines.map((line) => ({ ...limit, value: line, path: join(group, file), now }));
  });
  return inAcceptedOrder(changes);
}

/** Which file of a group says what a limit is about, and what it says, in terms of the first one. */
function shownBy(
  { file, reset, instead }: Limit,
  group: string,
): { readonly file: string; readonly now: string | null } {
  const read = (name: string): string | null => {
    const text = readControl(join(group, name));
    return text === null || reset === undefined ? text : text.split('\n').sort().join('\n');
  };
  const first = read(file);
  const second = first === null && instead !== undefined ? read(instead.file) : null;
  if (second === null || instead === undefined) return { file, now: first };
  return { file: instead.file, now: instead.asShown(second) };
}

/** A file of devices takes one line at a time, and keeps those of devices that are not named. */
function linesToWrite(wanted: string, now: string, reset: string): string[] {
  const linesOf = (text: string): string[] => text.split('\n').filter((line) => line !== '');
  const keyOf = (line: string): string => line.split(' ', 1)[0] ?? line;
  const kept = new Set(linesOf(wanted).map(keyOf));
  const gone = linesOf(now)
    .map(keyOf)
    .filter((key) => !kept.has(key));
  const present = new Set(linesOf(now));
  return [...gone.map((key) => `${key} ${reset}`), ...linesOf(wanted).filter((line) => !present.has(line))];
}

/** The same as open files. Throws also TerminalError (CgroupRefused). */
export function openLimits(tree: Tree, name: string, section: Section | null): LimitFiles {
  const { open, close } = openDescriptors();
  const files = changesFor(tree, name, section).map(({ path, value }) => ({
    fd: open(path, constants.O_WRONLY),
    bytes: Buffer.from(value),
    path,
  }));
  return { files, close };
}

/** Which limits the files of a group show, of those that a new one has; the same text as summaryOf gives for the section that asked for them. */
export function shownLimits(initially: readonly Limit[], groups: ReadonlyMap<string, string>): string {
  const shown = initially.flatMap((limit) => {
    const group = groups.get(limit.controller);
    return group === undefined ? [] : [{ file: limit.file, shown: shownBy(limit, group).now, initial: limit.initial }];
  });
  return summaryOf(shown);
}

/**
 * What has to be written so that new groups are as the section asks, by what the kernel makes them with. `present` are like
 * them: which files there are is seen there.
 */
export function changesOfNew(
  hierarchies: Tree['hierarchies'],
  groups: ReadonlyMap<string, string>,
  section: Section | null,
  present: ReadonlyMap<string, string>,
): readonly { readonly path: string; readonly value: string }[] {
  const changes = limitsOf(section, hierarchies).limits.flatMap((limit): LimitWrite[] => {
    const group = groups.get(limit.controller);
    if (group === undefined || (limit.shown !== null && limit.shown === limit.initial)) return [];
    const instead = existsSync(join(present.get(limit.controller) ?? group, limit.file)) ? undefined : limit.instead;
    const { file, value } = instead ?? limit;
    const values = limit.reset === undefined ? [value] : linesToWrite(value, limit.initial ?? '', limit.reset);
    return values.map((each) => ({ ...limit, value: each, path: join(group, file), now: limit.initial }));
  });
  return inAcceptedOrder(changes);
}

/** v1 wants the limit of memory never above that of memory and swap: the latter goes first when it makes room. */
function inAcceptedOrder(changes: readonly LimitWrite[]): LimitWrite[] {
  const limit = changes.find(({ file }) => file === 'memory.limit_in_bytes');
  const both = changes.find(({ file }) => file === 'memory.memsw.limit_in_bytes');
  if (limit === undefined || both === undefined) return [...changes];
  if (BigInt(limit.shown ?? 0) <= BigInt(both.now ?? 0)) return [...changes];
  return [both, ...changes.filter((change) => change !== both)];
}
