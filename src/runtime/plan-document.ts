// northstate plan: the steps that a document would take, by the planners that take them.
import type { Hierarchies } from '../../controllers/cgroups/cgroup-hierarchies.ts';
import { forecast, type ForecastStep } from '../../controllers/forecast/forecast.ts';
import { packageOf } from '../../controllers/repositories/repository.ts';
import type { Documents } from '../../state/document/documents.ts';
import type { ObservedPackage } from '../../state/observed.ts';
import type { State, Store } from '../../state/store.ts';
import { readPackage } from '../npk/open-package.ts';

export interface PlanPorts {
  readonly store: Store;
  readonly documents: Documents;
  readonly hierarchies: Hierarchies;
  /** CLOCK_BOOTTIME in ms. */
  readonly now: () => number;
}

/** The steps that lead to a document, or, without one, to the document in force. Rejects with DocumentRefused. */
export async function planDocument(
  text: string | null,
  { store, documents, hierarchies, now }: PlanPorts,
): Promise<readonly ForecastStep[]> {
  const state = text === null ? store.get() : await documents.preview(text);
  const sources = await readSources(state);
  const [defaultRepository = null] = state.desired.repositories.keys();
  return forecast(state, {
    hierarchies,
    defaultRepository,
    packageAt: (source) => sources.get(source) ?? null,
    now: now(),
  });
}

/** The packages behind `source`, where they can be read: the plan lists an install that cannot be done as one. */
async function readSources({ desired }: State): Promise<ReadonlyMap<string, ObservedPackage>> {
  const entries = [...desired.containers.values()].flatMap(({ source, repository }) =>
    source === null ? [] : [{ source, repository: repository ?? '' }],
  );
  const read = entries.map(async ({ source, repository }) => {
    const { identity, ...content } = await readPackage(source);
    const place = { repository, path: source, identity, digest: null, integrity: 'none' } as const;
    return [source, packageOf({ ...content, signed: null }, place)] as const;
  });
  const settled = await Promise.allSettled(read);
  return new Map(settled.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : [])));
}
