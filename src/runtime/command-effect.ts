// When an imperative command has had its effect: what has to be observed, and what says that it never will be. Pure.
import { startFailure } from '../../controllers/containers/start-failure.ts';
import { entryFor, type Command } from '../../state/document/command-patches.ts';
import type { DesiredState } from '../../state/desired.ts';
import type { ObservedAttempt } from '../../state/observed.ts';
import type { State } from '../../state/store.ts';
import { isUnderWay } from '../../state/trial/trial-record.ts';
import { RuntimeError } from './runtime.ts';
import { containerId, containerName, splitContainerId } from '../../state/container-id.ts';
import { type ContainerStatus } from '../../state/status.ts';

/** Null: not yet. An error: it failed. */
export type Effect = 'done' | RuntimeError | null;

/** Gives the test for a command's effect; `patched` is the state right after its patch, `begun` the run that was asked for earlier. */
export function effectOf(command: Command, patched: State, begun: number | null = null): (state: State) => Effect {
  const seen = observedEffect(command, patched, begun);
  return (state) => seen(state) ?? takenBack(command, patched, state);
}

/** What an entry says as long as the command's effect is to be expected. */
const asks: Readonly<Partial<Record<Command['type'], readonly (DesiredState | undefined)[]>>> = {
  start: ['running'],
  mount: ['mounted', 'running'],
  umount: ['installed', 'absent', undefined],
  uninstall: ['absent'],
};

/** What came of a race with another edit, which says something else: both generations are named. */
function takenBack(command: Command, patched: State, state: State): RuntimeError | null {
  const asked = asks[command.type];
  if (asked === undefined || !('container' in command) || state.generation === patched.generation) return null;
  const { container } = command;
  const holds = (at: State) => asked.includes(entryFor(container, at)?.state);
  if (!holds(patched) || holds(state)) return null;
  const error = `generation ${patched.generation} asked for it, another edit took that back with generation ${state.generation}`;
  if (command.type === 'start') return failed(container, error);
  return new RuntimeError('conflict', `${container}: ${error}`, { generation: state.generation });
}

function observedEffect(command: Command, patched: State, begun: number | null): (state: State) => Effect {
  switch (command.type) {
    case 'start': {
      const { name, version } = splitContainerId(command.container);
      const run = entryOf(patched, name, version)?.run?.id ?? begun;
      return (state) => started(state, name, version, run);
    }
    case 'restart': {
      const run = entryOf(patched, command.name, null)?.run?.id ?? null;
      return (state) => started(state, command.name, null, run);
    }
    case 'update':
      return (state) => settled(state, command.name);
    case 'pause':
      return (state) => (attemptsOf(state, command.name).some((each) => isFrozen(state, each)) ? 'done' : null);
    case 'resume':
      return (state) => (attemptsOf(state, command.name).some((each) => isFrozen(state, each)) ? null : 'done');
    case 'stop':
      return (state) => (attemptsOf(state, command.name).some(isAlive) ? null : 'done');
    case 'kill':
      return () => 'done';
    case 'install-entry':
      if (command.source === null) return () => 'done';
      return (state) => (isInstalled(state, command.container) ? 'done' : failureOf(state, command.container));
    case 'mount':
      return (state) => (isMounted(state, command.container) ? 'done' : failureOf(state, command.container));
    case 'umount':
      return (state) => (isMounted(state, command.container) ? null : 'done');
    case 'uninstall':
      return (state) => {
        if (!isInstalled(state, command.container)) return 'done';
        return heldByTrial(state, command.container) ?? failureOf(state, command.container);
      };
  }
}

function isInstalled({ observed }: State, container: string): boolean {
  return observed.packages.get(containerName(container))?.some(({ id }) => id === container) ?? false;
}

/** name:version of all that the persistent data of a name is for: what is installed, and what runs or is about to. */
export function dataUsers({ observed }: State, name: string): readonly string[] {
  const installed = (observed.packages.get(name) ?? []).map(({ id }) => id);
  const live = (observed.attempts.get(name) ?? []).filter(({ state }) => state !== 'exited' && state !== 'failed');
  return [...new Set([...installed, ...live.map(({ version }) => containerId(name, version))])];
}

/** Those of a name, or of name:version. */
function attemptsOf({ observed }: State, container: string): readonly ObservedAttempt[] {
  const { name, version } = splitContainerId(container);
  const all = observed.attempts.get(name) ?? [];
  return version === null ? all : all.filter((attempt) => attempt.version === version);
}

function isAlive({ state }: ObservedAttempt): boolean {
  return state === 'running';
}

function isFrozen({ observed }: State, { name, id, state }: ObservedAttempt): boolean {
  return state === 'running' && observed.cgroups.get(name)?.frozen.get(id) === 'frozen';
}

function isMounted({ observed }: State, container: string): boolean {
  return observed.mounts.get(containerName(container))?.some(({ id }) => id === container) ?? false;
}

/** The entry of the name that wants to run, else of name:version. */
function entryOf({ desired }: State, name: string, version: string | null) {
  const entries = [
    desired.containers.get(name),
    desired.containers.get(version === null ? name : containerId(name, version)),
  ];
  return entries.find((entry) => entry?.state === 'running');
}

function started(state: State, name: string, version: string | null, run: number | null): Effect {
  const attempt = attemptsOf(state, name).findLast((each) => each.record.run === run && each.state !== 'prepared');
  const id = version === null ? name : containerId(name, version);
  if (attempt === undefined || attempt.state === 'preparing') return failureOf(state, id);
  if (attempt.failure === null) return 'done';
  return failed(id, startFailure(containerId(attempt.name, attempt.version), attempt.failure));
}

/** What the status says has failed for good since the command. */
/** What a document on trial wants gone goes with its confirmation: a command that says no more than that cannot have it now. */
function heldByTrial(state: State, container: string): RuntimeError | null {
  const entry = entryFor(container, state);
  if (!isUnderWay(state.trial?.record ?? null) || entry?.state !== 'absent' || entry.uninstalling) return null;
  return failed(
    container,
    'a document is on trial; it is deleted when that is confirmed, and may be needed to go back',
  );
}

function failureOf(state: State, container: string): RuntimeError | null {
  const { name } = splitContainerId(container);
  const status = state.status.containers[container] ?? state.status.containers[name];
  if (status?.phase !== 'Failed' || state.status.observedGeneration < state.generation) return null;
  const told = status.conditions.filter(({ message }) => message !== '');
  const condition =
    told.find(({ type, status: is }) => type === 'Degraded' && is === 'True') ??
    told.find(({ type, status: is }) => type !== 'Degraded' && is === 'False');
  const message = condition?.message ?? 'it has failed';
  return missingResource(container, status, message) ?? failed(container, message);
}

/** An image that has no such directory: Northstar's clients know it as an error of its own. */
function missingResource(container: string, { conditions }: ContainerStatus, message: string): RuntimeError | null {
  const subject = conditions.find(({ reason }) => reason === 'MissingResource')?.subject;
  if (subject === undefined) return null;
  const { name: resource, version } = splitContainerId(subject);
  return new RuntimeError('start_container_missing_resource', message, { container, resource, version });
}

function failed(container: string, error: string): RuntimeError {
  return new RuntimeError('start_container_failed', `${container}: ${error}`, { container, error });
}

function settled({ status, generation }: State, name: string): Effect {
  if (status.observedGeneration < generation) return null;
  const own = Object.entries(status.containers).filter(([key]) => containerName(key) === name);
  const moving = own.some(([, { phase }]) => phase === 'Starting' || phase === 'Stopping');
  return moving ? null : 'done';
}
