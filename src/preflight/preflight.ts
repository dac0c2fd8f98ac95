// Both passes of the look ahead: what the document and its metadata say, and, once they can be read, what the manifests say.
import { stat } from 'node:fs/promises';
import { isRemote } from '../../state/source.ts';
import type { State } from '../../state/store.ts';
import { checks } from './preflight-checks.ts';
import type { Finding, ToldFinding } from './finding.ts';

export { findingText, ownFindings } from './finding.ts';
import { readFacts, type FactsPorts } from './host-facts.ts';
import { plannedOf, type KnownSources, type Planned } from './planned.ts';

export interface PreflightPorts extends FactsPorts {
  /** CLOCK_BOOTTIME in ms. */
  readonly now: () => number;
}

/**
 * What would keep `next` from being reached, and what of it holds for `present`, which is in force, as well. `sources`: packages that are
 * not installed; null = they are not asked for, and the first pass is all.
 */
export async function preflight(
  { present, next }: { readonly present: State; readonly next: State },
  sources: (() => Promise<KnownSources>) | null,
  ports: PreflightPorts,
): Promise<ToldFinding[]> {
  const plans = {
    before: plannedOf(present, await filesOf(present), ports.now()),
    first: plannedOf(next, await filesOf(next), ports.now()),
    second: sources === null ? null : plannedOf(next, await sources(), ports.now()),
  };
  const facts = await readFacts([plans.before, plans.first, ...(plans.second === null ? [] : [plans.second])], ports);
  const findingsOf = (planned: Planned): Finding[] => checks.flatMap((check) => check(planned, facts));
  const [before, first] = [findingsOf(plans.before), findingsOf(plans.first)];
  const told = (finding: Finding, pass: ToldFinding['pass']): ToldFinding => {
    const isSame = next.desired.containers.get(finding.entry) === present.desired.containers.get(finding.entry);
    return { ...finding, pass, known: isSame && before.some((each) => same(each, finding)) };
  };
  if (plans.second === null) return first.map((finding) => told(finding, 'document'));
  // What the manifests say of a sum takes the place of what was known of it.
  return findingsOf(plans.second).map((finding) =>
    told(finding, first.some((each) => same(each, finding)) ? 'document' : 'manifests'),
  );
}

/** Sizes of sources that are files here: known without opening a package. */
async function filesOf({ desired }: State): Promise<KnownSources> {
  const sizes = new Map<string, { package: null; size: number }>();
  for (const { source } of desired.containers.values()) {
    if (source === null || isRemote(source)) continue;
    const found = await stat(source).catch(() => null); // `source` may come later
    if (found !== null) sizes.set(source, { package: null, size: found.size });
  }
  return sizes;
}

function same(a: Finding, b: Finding): boolean {
  return a.check === b.check && a.entry === b.entry && a.fact === b.fact;
}
