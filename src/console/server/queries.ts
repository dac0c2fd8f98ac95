// Answers that only read the state.
import { isUnderWay } from '../../../state/trial/trial-record.ts';
import { formatPointer } from '../../../state/text/pointer.ts';
import type { FieldOrigin } from '../../../state/status.ts';
import { copiesOf } from '../../../state/observed.ts';
import { toJson, type State } from '../../../state/store.ts';
import { brokenFilesOf } from '../../../state/broken-files.ts';
import { RuntimeError, type Runtime } from '../../runtime/runtime.ts';
import { manifestForInspect } from '../../npk/manifest/manifest-json.ts';
import { installed, isMounted, runningAttempt } from './preconditions.ts';
import { containerName, splitContainerId } from '../../../state/container-id.ts';

/** `name:version` of every installed package. */
export function listContainers({ observed }: Pick<State, 'observed'>): string[] {
  return [...observed.packages.values()].flatMap((packages) => packages.map((each) => each.id));
}

/** The names of all repositories. */
export function listRepositories({ observed }: Pick<State, 'observed'>): string[] {
  return [...observed.repositories.keys()];
}

/** The `data` of `inspect`; throws invalid_container. `now`: CLOCK_BOOTTIME in ms. */
export async function inspectContainer(runtime: Runtime, container: string, now: () => number): Promise<unknown> {
  const state = runtime.state();
  const found = installed(state, container);
  const attempt = runningAttempt(state, found.name);
  const data = {
    manifest: manifestForInspect(found.manifest),
    repository: found.repository,
    mounted: isMounted(state, container),
  };
  if (attempt?.version !== found.version) return { ...data, process: null };
  const statistics = await runtime.statistics(found.name);
  const uptime = Math.max(0, Math.round((now() - attempt.startedAt) * 1e6));
  return { ...data, process: { pid: attempt.pid, uptime, statistics } };
}

/** Everything that explains one container: its entry, status, package and the steps it waits for; throws unknown_name. */
export async function describeContainer(runtime: Runtime, asked: string): Promise<unknown> {
  const state = runtime.state();
  const name = keyOf(state, asked);
  const status = state.status.containers[name];
  const entry = state.desired.containers.get(name);
  const plainName = containerName(name);
  const packages = state.observed.packages.get(plainName)?.flatMap(copiesOf) ?? [];
  const found = packages.find((each) => each.version === status?.version && each.repository === status.repository);
  const steps = (await runtime.plan(null, { looksAhead: false })).steps.filter((step) => step.name === plainName);
  return {
    name,
    status: status ?? null,
    entry: entry === undefined ? null : toJson(entry),
    overlay: overlayOf(state, name),
    files: brokenFilesOf(plainName, state.observed.repositories.values()),
    lock: state.lock.get(name) ?? null,
    package: found === undefined ? null : { path: found.path, repository: found.repository, digest: found.digest },
    steps,
  };
}

/** The fields of an entry that a command holds until the boot ends; all others come from the document. */
export function overlayOf(state: State, key: string): readonly FieldOrigin[] {
  return state.overlay.filter(({ pointer }) => `${pointer}/`.startsWith(`${formatPointer(['containers', key])}/`));
}

/** The stored generations, newest first. */
export async function listGenerations(runtime: Runtime): Promise<unknown> {
  const stored = await runtime.history();
  const { document, trial } = runtime.state();
  const inForce = document.generation;
  const record = trial?.record ?? null;
  const onTrial = (generation: number) => isUnderWay(record) && generation > record.confirmed;
  const generations = stored.map((each) => ({
    ...each,
    trial: onTrial(each.generation) ? (record?.state ?? null) : null,
    time: new Date(each.time).toISOString(),
    inForce: each.generation === inForce,
  }));
  return { generations: generations.toReversed() };
}

/** What has failed in a trial, newest first. */
export function listQuarantine({ quarantine }: State): readonly unknown[] {
  return quarantine
    .map(({ kind, digest, name, reason, message, time }) => ({
      ...{ kind, digest, name, reason, message, time: new Date(time).toISOString() },
    }))
    .toReversed();
}

/** The key of the status that a person means by `name` or `name:version`; throws unknown_name. */
export function keyOf(state: State, asked: string): string {
  const { containers } = state.status;
  if (Object.hasOwn(containers, asked)) return asked;
  const { name, version } = splitContainerId(asked);
  if (version !== null && Object.hasOwn(containers, name) && containers[name]?.version === version) return name;
  if (version === null) {
    const keys = Object.keys(containers).filter((key) => key !== name && containerName(key) === name);
    if (keys.length === 1 && keys[0] !== undefined) return keys[0];
  }
  // What has run for somebody who asked for it once has no entry, and output all the same.
  if (state.observed.attempts.has(name)) return asked;
  const installed = (state.observed.packages.get(name) ?? []).filter(
    (each) => version === null || each.version === version,
  );
  const ids = installed.map(({ id }) => id).join(', ');
  const message =
    installed.length === 0
      ? `there is no container ${asked}`
      : `${asked} is installed (${ids}) and nothing asks for it: the document has no entry for it, and it has not run`;
  throw new RuntimeError('unknown_name', message, { name: asked });
}
