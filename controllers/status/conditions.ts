// The conditions of a target, as Kubernetes uses the word. Pure.
import { conditionTypes, type Condition, type ConditionReason, type ConditionType } from '../../state/status.ts';
import type { ObservedPackage } from '../../state/observed.ts';
import { corruptedImage, lostImage, otherBytes } from '../mounts/mounts-integrity.ts';
import { isMounted, isPaused, type Facts } from './phase.ts';
import { exitText, type Exit } from '../../state/signals.ts';
import { readyAt } from '../containers/readiness.ts';
import { startFailure } from '../containers/start-failure.ts';

type Finding = readonly ['True' | 'False' | 'Unknown', ConditionReason, string, subject?: string | null];

/** All conditions of a target. One that says the same as before keeps the time of its last transition; `now` is RFC 3339. */
export function conditionsOf(facts: Facts, before: readonly Condition[], now: string): Condition[] {
  return conditionTypes.map((type) => {
    const [status, reason, message, subject = null] = findings[type](facts);
    const old = before.find((condition) => condition.type === type);
    const kept = old !== undefined && old.status === status && old.reason === reason;
    const { generation } = facts.target.entry;
    const about = subject === null ? {} : { subject };
    return { type, status, reason, message, ...about, generation, lastTransition: kept ? old.lastTransition : now };
  });
}

const findings: Record<ConditionType, (facts: Facts) => Finding> = {
  Installed: ({ view, target }) =>
    target.package === null
      ? ['False', 'NotInstalled', `nothing that is installed is ${asked(target)}${broken(view)}`]
      : ['True', 'PackageInstalled', `${target.package.id} is in repository ${target.package.repository}`],
  Verified({ target }) {
    const { entry, package: found } = target;
    const other = otherBytes(target);
    if (other !== null)
      return other.known ? ['False', 'DigestMismatch', other.message] : ['Unknown', 'DigestUnknown', other.message];
    if (entry.digest === null) return verifiedByKey(found);
    if (found === null || found.digest === null) return ['Unknown', 'DigestUnknown', 'the digest is not known yet'];
    return ['True', 'DigestMatches', found.digest];
  },
  Mounted: (facts) =>
    isMounted(facts.view, facts.target) ? ['True', 'ImageMounted', ''] : ['False', 'NotMounted', notMounted(facts)],
  Ready: ready,
  UpdateAvailable: ({ target: { newer } }) =>
    newer === null ? ['False', 'UpToDate', ''] : ['True', 'HigherVersionInstalled', `${newer} is installed`],
  PackageMissing({ view, target }) {
    const missing = target.package === null && target.version !== null && target.entry.state !== 'absent';
    if (!missing) return ['False', 'AsResolved', ''];
    const gone = target.goneRepository;
    if (gone === null) return ['True', 'PackageVanished', `${asked(target)} is not installed${broken(view)}`];
    return ['True', 'RepositoryRemoved', `${asked(target)} was in repository ${gone}, which the document has no more`];
  },
  IntegrityLost({ view, target }) {
    const written = lostImage(view, target);
    if (written !== null) return ['True', 'ImageWritten', written];
    const blocks = corruptedImage(view, target);
    return blocks === null ? ['False', 'ImageIntact', ''] : ['True', 'BlocksCorrupted', blocks];
  },
  Degraded({ view, target, left, decision, terminal, running, done, phase }) {
    const lost = lostImage(view, target) ?? corruptedImage(view, target);
    if (lost !== null) return ['True', 'IntegrityLost', lost];
    const other = target.entry.state === 'absent' ? null : otherBytes(target);
    if (other?.known === true) return ['True', 'DigestMismatch', other.message];
    const failure = terminal ?? left.failures.find(({ count }) => count > 1) ?? null;
    if (failure !== null) return ['True', failure.reason, failure.message, failure.subject];
    if (running !== null && decision.verdict?.kind === 'failed')
      return ['True', 'StartFailed', decision.verdict.message];
    const lacks = (running ?? (phase === 'Backoff' ? done : null))?.record.lacks ?? [];
    if (lacks.length > 0) return ['True', 'MissingOnHost', lacks.join('; ')];
    const defects = target.package?.defects ?? [];
    if (defects.length > 0) return ['True', 'ManifestDefect', defects.join('; ')];
    // What is to be replaced may be of another version than what this target is.
    const replaces = decision.replacing && target.entry.state === 'running';
    const stop = replaces ? left.steps.find(({ op, waits }) => op === 'signal' && waits !== null) : undefined;
    if (stop !== undefined) return ['True', 'ReplacementWaits', stop.waits ?? ''];
    const foreign = target.package?.foreign ?? null;
    return foreign === null ? ['False', 'AsExpected', ''] : ['True', 'ForeignPackage', foreign];
  },
};

/** Why what is to be mounted is not: what failed, else what it waits for. */
function notMounted({ target: { entry }, left }: Facts): string {
  if (entry.state !== 'mounted' && entry.state !== 'running') return '';
  const failure = left.failures.find(({ op }) => op === 'mount');
  return failure?.message ?? left.steps.find(({ op }) => op === 'mount')?.waits ?? '';
}

function verifiedByKey(found: ObservedPackage | null): Finding {
  if (found === null || found.signed === null) {
    return ['Unknown', 'NothingToVerify', 'neither has the repository a key nor the entry a digest'];
  }
  return [
    'True',
    'SignatureValid',
    `signed with the key ${found.signed.by.slice(0, 16)}, checked by ${found.integrity}`,
  ];
}

function ready({ view, target, phase, running, done, decision: { verdict }, left, terminal }: Facts): Finding {
  if (isPaused({ view, running })) return ['False', 'Paused', 'its processes are frozen until it is resumed'];
  const oomKills = done?.oomKills ?? 0;
  if (phase === 'Running') {
    if (running !== null && running.health.stopping) return ['False', 'Stopping', 'it says that it ends'];
    const at = running === null ? 0 : readyAt(running, target);
    if (at === null) return ['False', 'NotReady', running?.health.message ?? ''];
    if (at > view.now) return ['False', 'Settling', `it is ready when it has run for ${target.entry.settle} ms`];
    return ['True', 'Running', `process ${running?.pid ?? 0}`];
  }
  if (phase === 'Stopping') return ['False', 'Stopping', ''];
  if (target.entry.state !== 'running') return ['False', 'NotWanted', `the entry asks for ${target.entry.state}`];
  if (verdict?.kind === 'failed') return ['False', verdict.reason, verdict.message];
  if (verdict?.kind === 'exited')
    return ['False', 'Exited', `ended with ${exitText(verdict.exit, oomKills)}; another run starts it again`];
  if (verdict?.kind === 'scheduled') return ['False', 'Scheduled', scheduleText(view, target, verdict.exit)];
  if (phase === 'Backoff') {
    const failure = done?.failure ?? null;
    const ended = `ended with ${exitText(lastExit(verdict), oomKills)}`;
    return ['False', 'Backoff', failure === null ? ended : startFailure(target.package?.id ?? target.key, failure)];
  }
  if (target.package === null) return ['False', 'WaitingForPackage', `${asked(target)} is not installed`];
  if (terminal !== null) return ['False', 'StartFailed', terminal.message];
  if (view.dependenciesDown.length > 0) return ['False', 'WaitingForDependency', dependencyText(view, target)];
  const lacking = target.resources.find(({ id }) => id === null);
  if (lacking !== undefined) return ['False', 'WaitingForResource', `${lacking.name} ${lacking.requirement}`];
  return ['False', 'Starting', left.steps.find(({ waits }) => waits !== null)?.waits ?? ''];
}

function scheduleText({ wall }: Facts['view'], { entry }: Facts['target'], exit: Exit | null): string {
  const waits = entry.schedule?.kind === 'cron' && wall === null ? 'until the clock has been set' : 'for its time';
  return exit === null ? `it waits ${waits}` : `its last run ended with ${exitText(exit)}; it waits ${waits}`;
}

/** Those that it waits for, and for what, where that is more than that they run. */
function dependencyText({ dependenciesDown }: Facts['view'], { entry }: Facts['target']): string {
  const asked = (name: string): string => entry.dependsOn.get(name) ?? 'running';
  return dependenciesDown.map((name) => (asked(name) === 'running' ? name : `${name} (${asked(name)})`)).join(', ');
}

function lastExit(verdict: Facts['decision']['verdict']) {
  return verdict?.kind === 'backoff' ? verdict.lastExit : null;
}

/** The files that might have been it, and what is wrong with them. */
function broken({ brokenFiles }: Facts['view']): string {
  return brokenFiles.map(({ path, message }) => `; ${path}: ${message}`).join('');
}

function asked({ key, version, entry }: Facts['target']): string {
  const wants = version ?? entry.version;
  return wants === null || key.endsWith(`:${wants}`) ? key : `${key} ${wants}`;
}
