// Imperative commands as patches of the document. Pure.
import type { Operation } from 'fast-json-patch';
import type { ContainerEntry, DesiredState } from '../desired.ts';
import { formatPointer } from '../text/pointer.ts';
import type { State } from '../store.ts';
import { aroundStart, withdrawAround } from './start-around.ts';
import { highest, matches, parseRequirement } from '../version.ts';
import { containerId, containerName, splitContainerId } from '../container-id.ts';

/** What a person or a client may order. `container` is name:version, `name` a container's name. */
export type Command =
  | {
      readonly type: 'start';
      readonly container: string;
      /** Each replaces the entry's for this one run, when given and not empty. */
      readonly init?: string | null | undefined;
      readonly args?: readonly string[] | undefined;
      readonly env?: Readonly<Record<string, string>> | undefined;
    }
  | { readonly type: 'kill'; readonly container: string; readonly signal: number }
  | { readonly type: 'stop'; readonly name: string }
  | { readonly type: 'mount'; readonly container: string }
  | { readonly type: 'umount'; readonly container: string }
  | {
      readonly type: 'install-entry';
      readonly container: string;
      /** Null: the first one, where it comes from a server. */
      readonly repository: string | null;
      /** Where the package comes from; null = it is here. */
      readonly source: string | null;
    }
  | { readonly type: 'uninstall'; readonly container: string; readonly wipe: boolean }
  | { readonly type: 'pause' | 'resume'; readonly name: string }
  | { readonly type: 'restart'; readonly name: string }
  | { readonly type: 'update'; readonly name: string };

/** A command that cannot become a patch: there is nothing by that name. */
export class CommandError extends Error {
  readonly subject: string;

  constructor(subject: string, reason: string) {
    super(`${subject}: ${reason}`);
    this.name = 'CommandError';
    this.subject = subject;
  }
}

const SIGKILL = 9;
const SIGTERM = 15;

/** The RFC 6902 operations that a command amounts to; none when the document says it already. Throws CommandError. */
export function commandPatch(command: Command, state: State): Operation[] {
  switch (command.type) {
    case 'start':
      return start(command.container, runOf(command, nextRun(state, containerName(command.container))), state);
    case 'kill':
      return command.signal === SIGTERM || command.signal === SIGKILL ? down(command.container, state) : [];
    case 'stop':
      return ofRunning(command.name, state, {
        entry: ({ key }) => [{ op: 'add', path: pointerTo(key, 'state'), value: 'mounted' }],
        container: (container) => [create(container, { state: 'mounted' })],
      });
    case 'mount':
      return setState(command.container, 'mounted', state, ['mounted', 'running']);
    case 'umount':
      return setState(command.container, 'installed', state, ['installed', 'absent']);
    case 'install-entry':
      return install(command, state);
    case 'uninstall':
      return uninstall(command.container, state);
    case 'pause':
      return ofRunning(command.name, state, {
        entry: ({ key, paused }) => (paused ? [] : [{ op: 'add', path: pointerTo(key, 'paused'), value: true }]),
        container: (container) => [create(container, { state: 'running', paused: true, restart: { policy: 'never' } })],
      });
    case 'resume':
      return resume(command.name, state);
    case 'restart':
      return ofRunning(command.name, state, {
        entry: (entry) => [{ op: 'add', path: pointerTo(entry.key, 'run'), value: again(entry, state) }],
        container: (container) => start(container, nextRun(state, containerName(container)), state),
      });
    case 'update':
      return []; // what the requirement was resolved to is forgotten; the document stays as it is
  }
}

/**
 * What takes a start back that has failed: its entry says again what it said before, as long as it says what the start made of
 * it. One that was to run before stays as it is.
 */
export function withdrawStart(container: string, before: State, patched: State, now: State): Operation[] {
  const asked = entryFor(container, patched);
  const entry = entryFor(container, now);
  if (asked === null || entry?.state !== 'running' || entry.run?.id !== asked.run?.id) return [];
  const around = withdrawAround(before, patched, now);
  const was = before.desired.containers.get(entry.key);
  if (was === undefined) return [...around, { op: 'remove', path: pointerTo(entry.key) }];
  if (was.state === 'running') return [];
  return [
    ...around,
    { op: 'add', path: pointerTo(entry.key, 'state'), value: was.state },
    runAgain(entry.key, was.run),
  ];
}

function runAgain(key: string, run: ContainerEntry['run']): Operation {
  const path = pointerTo(key, 'run');
  if (run === null) return { op: 'remove', path };
  const { id, init, args, env } = run;
  return { op: 'add', path, value: runOf({ init, args: args ?? [], env: Object.fromEntries(env ?? []) }, id) };
}

/** Whether the document asks for this very version, and for no earlier run than that, or has had one. */
export function isAsked(container: string, run: number, state: State): boolean {
  const entry = entryFor(container, state);
  if (entry?.state !== 'running') return false;
  const had = (state.observed.attempts.get(entry.name) ?? []).map(({ record }) => record.run ?? 0);
  return Math.max(entry.run?.id ?? 0, ...(entry.run === null ? had : [])) >= run;
}

function start(container: string, run: unknown, state: State): Operation[] {
  const entry = entryFor(container, state);
  const around = aroundStart(container, entry?.key ?? container, state);
  if (entry === null) return [...around, create(container, { state: 'running', run, restart: { policy: 'never' } })];
  return [
    ...around,
    { op: 'add', path: pointerTo(entry.key, 'state'), value: 'running' },
    { op: 'add', path: pointerTo(entry.key, 'run'), value: run },
  ];
}

/** Also of what does not run any more: it is not to begin paused when it runs again. */
function resume(name: string, state: State): Operation[] {
  const entries = [...state.desired.containers.values()].filter((entry) => entry.name === name || entry.key === name);
  const paused = entries.filter((entry) => entry.paused);
  if (paused.length === 0) return ofRunning(name, state, { entry: () => [], container: () => [] });
  return paused.map(({ key }) => ({ op: 'remove', path: pointerTo(key, 'paused') }));
}

/** One more start with the arguments of the one before. */
function again({ name, run }: ContainerEntry, state: State): unknown {
  const { init, args, env } = run ?? { init: null, args: null, env: null };
  return runOf({ init, args: args ?? [], env: Object.fromEntries(env ?? []) }, nextRun(state, name));
}

function down(container: string, state: State): Operation[] {
  return setState(container, 'mounted', state, ['mounted', 'installed', 'absent']);
}

type InstallEntry = Extract<Command, { type: 'install-entry' }>;

function install({ container, repository, source }: InstallEntry, state: State): Operation[] {
  const entry = coveringEntry(container, state);
  const place = { ...(repository !== null && { repository }), ...(source !== null && { source }) };
  if (entry === null) return [create(container, { state: 'installed', ...place })];
  return [
    ...(source === null ? [] : fieldsOf(entry.key, place)),
    ...(entry.state === 'absent' ? fieldsOf(entry.key, { state: 'installed' }) : []),
  ];
}

/** What takes an installation from a server back that has failed, as long as its entry says where it was to come from. */
export function withdrawInstall({ container, source }: InstallEntry, before: State, now: State): Operation[] {
  const entry = coveringEntry(container, now);
  if (entry === null || entry.source !== source) return [];
  const was = before.desired.containers.get(entry.key);
  if (was === undefined) return [{ op: 'remove', path: pointerTo(entry.key) }];
  const changed = (['state', 'repository', 'source'] as const).filter((field) => was[field] !== entry[field]);
  return fieldsOf(entry.key, Object.fromEntries(changed.map((field) => [field, was[field]])));
}

/** The entry of name:version, else that of the name if it may be of this version. */
function coveringEntry(container: string, { desired }: State): ContainerEntry | null {
  const { name, version } = splitContainerId(container);
  const ofName = desired.containers.get(name);
  const isCovered = ofName !== undefined && admits(ofName, version ?? '');
  return desired.containers.get(container) ?? (isCovered ? ofName : null);
}

/** Null: the field goes. */
function fieldsOf(key: string, fields: Readonly<Record<string, string | null>>): Operation[] {
  return Object.entries(fields).map(([field, value]) => {
    const path = pointerTo(key, field);
    return value === null ? { op: 'remove', path } : { op: 'add', path, value };
  });
}

/** Of an entry whose requirement something else that is installed meets, the version goes, and the entry takes what is left. */
function uninstall(container: string, state: State): Operation[] {
  const entry = entryFor(container, state);
  const { name, version } = splitContainerId(container);
  const others = (state.observed.packages.get(name) ?? []).filter((found) => found.version !== version);
  const isOfName = entry !== null && entry.key === name && entry.state !== 'absent';
  if (isOfName && !isExact(entry.version ?? '*') && others.some((found) => admits(entry, found.version))) {
    return [create(container, { state: 'absent' })];
  }
  return setState(container, 'absent', state, ['absent']);
}

/** `already`: states in which the command has nothing to ask for. */
function setState(container: string, to: DesiredState, state: State, already: readonly DesiredState[]): Operation[] {
  const entry = entryFor(container, state);
  if (entry === null) return [create(container, { state: to })];
  return already.includes(entry.state) ? [] : [{ op: 'add', path: pointerTo(entry.key, 'state'), value: to }];
}

/** The entry that speaks for name:version: that of the name when it resolves to this version, else of name:version. */
export function entryFor(container: string, state: State): ContainerEntry | null {
  const ofName = state.desired.containers.get(containerName(container));
  if (ofName !== undefined && resolvedVersion(ofName, state) === (splitContainerId(container).version ?? ''))
    return ofName;
  return state.desired.containers.get(container) ?? null;
}

/** The version that an entry means: what it was resolved to, else the highest installed that it admits; null = there is none. */
export function resolvedVersion(entry: ContainerEntry, { lock, observed }: State): string | null {
  const locked = lock.get(entry.key);
  if (locked !== undefined) return locked.version;
  const installed = (observed.packages.get(entry.name) ?? []).map(({ version }) => version);
  if (entry.version === null) return highest(parseRequirement('*'), installed);
  return isExact(entry.version) ? entry.version : highest(parseRequirement(entry.version), installed);
}

function admits({ version }: ContainerEntry, candidate: string): boolean {
  if (version === null) return true;
  return isExact(version) ? version === candidate : matches(parseRequirement(version), candidate);
}

function isExact(version: string): boolean {
  return /^\d+\.\d+\.\d+$/.test(version);
}

/** What is to be done with each entry of a name that is to run, else with what runs without one. Throws when nothing does. */
function ofRunning(
  name: string,
  { desired, observed }: State,
  act: { entry: (entry: ContainerEntry) => Operation[]; container: (container: string) => Operation[] },
): Operation[] {
  const entries = [...desired.containers.values()].filter((entry) => entry.name === name || entry.key === name);
  const running = entries.filter((entry) => entry.state === 'running');
  if (running.length > 0) return running.flatMap(act.entry);
  const attempt = observed.attempts
    .get(containerName(name))
    ?.findLast(
      ({ state, version }) =>
        state === 'running' && (containerName(name) === name || version === splitContainerId(name).version),
    );
  if (attempt !== undefined && entries.length === 0) return act.container(containerId(attempt.name, attempt.version));
  throw new CommandError(name, entries.length === 0 ? 'is not known' : 'is not to run');
}

/** A number that no start of this name has had in this boot. */
export function nextRun({ desired, observed }: State, name: string): number {
  const entries = [...desired.containers.values()].filter((entry) => entry.name === name);
  const attempts = observed.attempts.get(name) ?? [];
  const known = [
    ...entries.map(({ run }) => run?.id),
    ...attempts.map(({ record }) => record.run),
    observed.ran.get(name)?.run,
  ];
  return Math.max(0, ...known.map((run) => run ?? 0)) + 1;
}

interface RunFields {
  readonly init?: string | null | undefined;
  readonly args?: readonly string[] | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
}

function runOf({ init, args = [], env = {} }: RunFields, id: number): unknown {
  const fields = {
    ...(init === undefined || init === null || init === '' ? {} : { init }),
    ...(args.length === 0 ? {} : { args }),
    ...(Object.keys(env).length === 0 ? {} : { env }),
  };
  return Object.keys(fields).length === 0 ? id : { id, ...fields };
}

function create(key: string, value: object): Operation {
  return { op: 'add', path: pointerTo(key), value };
}

function pointerTo(...path: string[]): string {
  return formatPointer(['containers', ...path]);
}
