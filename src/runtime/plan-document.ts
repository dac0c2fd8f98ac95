// northstate plan: the steps that a document would take, by the planners that take them.
import type { Logger } from 'pino';
import type { Hierarchies } from '../../controllers/cgroups/cgroup-hierarchies.ts';
import { forecast, type ForecastStep } from '../../controllers/forecast/forecast.ts';
import type { OpenRemote } from '../../controllers/repositories/repositories-act.ts';
import { packageOf } from '../../controllers/repositories/repository.ts';
import type { Documents } from '../../state/document/documents.ts';
import type { ObservedPackage } from '../../state/observed.ts';
import type { SchedulePorts } from '../../state/schedule.ts';
import { isRemote } from '../../state/source.ts';
import type { State, Store } from '../../state/store.ts';
import type { ToldFinding } from '../preflight/finding.ts';
import type { FactsPorts } from '../preflight/host-facts.ts';
import { preflight } from '../preflight/preflight.ts';
import { readPackage } from '../npk/open-package.ts';

export interface PlanPorts {
  readonly store: Store;
  readonly documents: Documents;
  readonly hierarchies: Hierarchies;
  readonly openRemote: OpenRemote;
  readonly log: Pick<Logger, 'info'>;
  /** CLOCK_BOOTTIME in ms. */
  readonly now: () => number;
  readonly facts: FactsPorts;
}

/** What a document would take, and what would keep it from being reached. */
export interface PlannedDocument {
  readonly steps: readonly ForecastStep[];
  readonly findings: readonly ToldFinding[];
}

/** The steps that lead to a document, or, without one, to the document in force, and what a look ahead finds, where it is asked for. Rejects with DocumentRefused. */
export async function planDocument(
  text: string | null,
  looksAhead: boolean,
  { store, documents, hierarchies, openRemote, log, now, facts }: PlanPorts,
): Promise<PlannedDocument> {
  const present = store.get();
  const state = text === null ? present : await documents.preview(text);
  const sources = await readSources(state, openRemote, log);
  const known = new Map(
    [...sources].map(([source, found]) => [source, { ...found, size: found.package.identity.size }]),
  );
  const ahead = () => preflight({ present, next: state }, () => Promise.resolve(known), { ...facts, now });
  const findings = looksAhead ? await ahead() : [];
  const [defaultRepository = null] = state.desired.repositories.keys();
  const steps = forecast(state, {
    hierarchies,
    defaultRepository,
    packageAt: (source) => sources.get(source)?.package ?? null,
    fetchOf: (source) => sources.get(source)?.fetch ?? null,
    now: now(),
    nextCron: await cronOf(state),
  });
  return { steps, findings };
}

/** What reads cron patterns, loaded where one stands in the document. */
async function cronOf({ desired }: State): Promise<SchedulePorts['nextCron']> {
  const isNeeded = [...desired.containers.values()].some(({ schedule }) => schedule?.kind === 'cron');
  if (!isNeeded) return () => null;
  const { cronAfter } = await import('../../state/schema/cron.ts');
  return ({ cron, zone }, after) => cronAfter(cron, zone, after);
}

/** What is known of a source without installing it. */
interface Source {
  readonly package: ObservedPackage;
  /** Bytes to fetch; null when it is here. */
  readonly fetch: number | null;
}

/** ms after which a server is not waited for any more. */
const patience = 60_000;

/** The packages behind `source`, where they can be read: the plan lists an install that cannot be done as one. */
async function readSources(
  { desired, observed }: State,
  openRemote: OpenRemote,
  log: PlanPorts['log'],
): Promise<ReadonlyMap<string, Source>> {
  const entries = [...desired.containers.values()].flatMap(({ name, source, repository }) =>
    source === null ? [] : [{ name, source, repository: repository ?? '' }],
  );
  const read = entries.map(async ({ name, source, repository }): Promise<readonly [string, Source]> => {
    if (!isRemote(source)) {
      const { identity, ...content } = await readPackage(source);
      const place = { repository, path: source, identity, digest: null, integrity: 'none' } as const;
      return [source, { package: packageOf({ ...content, signed: null }, place), fetch: null }];
    }
    const donors = (observed.packages.get(name) ?? []).map(({ path }) => path);
    const signal = AbortSignal.timeout(patience);
    const remote = await openRemote(new URL(source), { donors, signal, log });
    try {
      const identity = { dev: 0, ino: 0, size: remote.size, mtimeMs: 0, ctimeMs: 0 };
      const place = { repository, path: source, identity, digest: null, integrity: 'none' } as const;
      return [source, { package: packageOf(await remote.inspect(), place), fetch: await remote.estimate() }];
    } finally {
      await remote.close();
    }
  });
  const settled = await Promise.allSettled(read);
  return new Map(settled.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : [])));
}
