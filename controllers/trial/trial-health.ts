// Whether what a trial asks for is Ready, since when, and what of it never will be. Pure.
import type { ContainerEntry } from '../../state/desired.ts';
import { newestDone } from '../../state/ended-run.ts';
import type { ContainerStatus } from '../../state/status.ts';
import type { State } from '../../state/store.ts';
import type { Health } from '../../state/trial/transitions.ts';
import type { TrialRecord } from '../../state/trial/trial-record.ts';
import { readyAt } from '../containers/readiness.ts';
import type { Reached } from '../status/reached.ts';
import { splitContainerId } from '../../state/container-id.ts';

/** What has become of one entry. */
export interface Outcome extends Reached {
  readonly key: string;
}

/** Reasons that somebody else may take away: they are waited for, and no failure. */
const passing = new Set([
  'MissingOnHost',
  'WaitingForPackage',
  'WaitingForDependency',
  'WaitingForResource',
  'MissingResource',
  'UnknownRepository',
  'SourceMissing',
  'RepositoryFull',
  'NoDeviceMapper',
]);

/** `outcomes` are those of the entries that are asked for and that there are. */
export function healthOfTrial(state: State, { asked }: TrialRecord, outcomes: readonly Outcome[]): Health {
  const entries = outcomes.flatMap(({ key }) => state.desired.containers.get(key) ?? []);
  const byKey = new Map(entries.map((entry) => [entry.key, entry]));
  const counted = outcomes.filter(({ key }) => isAsked(byKey.get(key)));
  const critical = criticalKeys(state).filter((key) => asked.includes(key) || !state.desired.containers.has(key));
  const lost = counted.filter(({ key, result }) => result === 'failed' && isLost(state.status.containers[key]));
  const unready = counted.filter(({ result }) => result !== 'converged');
  const missing = [
    ...unready.map(({ key, reason }) => reason ?? key),
    ...critical.filter((key) => !isReady(state.status.containers[key])).map((key) => `${key} is not ready`),
  ];
  const failed = lost.map(({ key, reason }) => reason ?? key);
  const times = [
    ...counted.map(({ key }) => byKey.get(key)).flatMap((entry) => (entry === undefined ? [] : sinceOf(state, entry))),
    ...critical.map((key) => sinceOfAutostart(state, key)),
  ];
  return {
    failed: failed.length === 0 ? null : failed.join('; '),
    entries: (lost.length === 0 ? unready : lost).map(({ key }) => key),
    missing: missing.length === 0 ? null : missing.join('; '),
    since: missing.length === 0 ? Math.max(0, ...times) : null,
  };
}

/** Keys of what is Ready now and was not made by a console: what a trial must not make worse. */
export function readyKeys({ desired, status, overlay }: State): readonly string[] {
  const byConsole = new Set(overlay.flatMap(({ pointer }) => stateOf(pointer)));
  return [...desired.containers.values()]
    .filter(({ key, writtenBy, state }) => state === 'running' && writtenBy === 'person' && !byConsole.has(key))
    .filter(({ key }) => isReady(status.containers[key]))
    .map(({ key }) => key);
}

/** What is paused, runs at certain times, or was started by somebody for once is not asked. */
function isAsked(entry: ContainerEntry | undefined): boolean {
  return entry?.paused !== true && (entry?.schedule ?? null) === null && entry?.run?.by !== 'once';
}

/** The entry whose state, or whole, a pointer names. */
function stateOf(pointer: string): string[] {
  const [, section, key, field] = pointer.split('/');
  return section === 'containers' && key !== undefined && (field === undefined || field === 'state') ? [key] : [];
}

function isReady(status: ContainerStatus | undefined): boolean {
  return status?.conditions.some(({ type, status: is }) => type === 'Ready' && is === 'True') === true;
}

/** Whether nothing that may come yet makes it Ready. */
function isLost(status: ContainerStatus | undefined): boolean {
  if (status === undefined) return false;
  const reasons = status.conditions.filter(
    ({ type, status: is }) => (type === 'Degraded' && is === 'True') || (type === 'Ready' && is !== 'True'),
  );
  return !reasons.some(({ reason }) => passing.has(reason));
}

/** Since when an entry that is reached is so, CLOCK_BOOTTIME in ms; [] when it was before anything is known of it. */
function sinceOf({ observed }: State, entry: ContainerEntry): number[] {
  if (entry.state !== 'running') return [];
  const attempts = observed.attempts.get(entry.name) ?? [];
  const run = attempts.find(({ state }) => state === 'running');
  if (run === undefined) {
    const last = newestDone(attempts, entry);
    return last === null ? [] : [last.exitedAt];
  }
  const found = observed.packages.get(entry.name)?.find(({ version }) => version === run.version) ?? null;
  return [readyAt(run, { entry, package: found }) ?? Infinity];
}

/** What starts by itself, and whose end ends the runtime. */
function criticalKeys({ status, observed, desired }: State): string[] {
  return Object.keys(status.containers).filter((key) => {
    const { name, version } = splitContainerId(key);
    if (desired.containers.has(key) || version === null) return false;
    const found = observed.packages.get(name)?.find((each) => each.version === version);
    const runs = observed.attempts.get(name)?.some((each) => each.version === version) === true;
    return runs && found?.manifest.autostart === 'critical';
  });
}

function sinceOfAutostart({ observed }: State, key: string): number {
  const { name, version } = splitContainerId(key);
  return observed.attempts.get(name)?.find((each) => each.version === version)?.startedAt ?? 0;
}
