// What a step leads to when it succeeds, as observed state: the model that `northstate plan` runs the planners on, and the
// kernel of the simulation. Pure.
import type { ObservedAttempt, ObservedCgroup, Observed, ObservedPackage } from '../../state/observed.ts';
import { compareVersions } from '../../state/version.ts';
import type { Hierarchies } from '../cgroups/cgroup-hierarchies.ts';
import { limited, parentOf, sectionOf, type CgroupStep } from '../cgroups/cgroups-plan.ts';
import { recordOf, unseen } from '../containers/containers-act.ts';
import type { ContainerStep } from '../containers/containers-plan.ts';
import type { KeptDataStep } from '../kept-data/kept-data-plan.ts';
import type { View } from '../controller.ts';
import type { MountsStep } from '../mounts/mounts-plan.ts';
import type { RepositoryStep } from '../repositories/repositories-plan.ts';
import { splitContainerId } from '../../state/container-id.ts';
import { withAttempt } from '../containers/containers-observe.ts';

export type AnyStep = RepositoryStep | MountsStep | CgroupStep | ContainerStep | KeptDataStep;

/** What an effect needs to know beyond the step. */
export interface Circumstances {
  /** The view that the step was planned on. */
  readonly view: View;
  /** A number that no attempt and no mount has. */
  readonly fresh: () => number;
  /** The package that a source file holds; null when it cannot be read. */
  readonly packageAt: (source: string) => ObservedPackage | null;
  /** `sha256:<hex>` of a package file. */
  readonly digestOf: (path: string) => string | null;
  readonly hierarchies: Hierarchies;
}

type Effects = {
  [O in AnyStep['op']]: (
    observed: Observed,
    step: Extract<AnyStep, { op: O }>,
    circumstances: Circumstances,
  ) => Partial<Observed>;
};

/** The observed state after a step. */
export function effect(observed: Observed, step: AnyStep, circumstances: Circumstances): Observed {
  // The table is complete by its type; TypeScript does not see that the key and the argument belong together.
  const one = effects[step.op] as (o: Observed, s: AnyStep, c: Circumstances) => Partial<Observed>;
  return { ...observed, ...one(observed, step, circumstances) };
}

const effects: Effects = {
  install({ packages }, { name, source, repository, unwanted }, { packageAt }) {
    const held = packageAt(source);
    const found = held === null || unwanted.includes(held.version) ? null : held;
    const others = (packages.get(name) ?? []).filter(({ id }) => id !== found?.id);
    const all = found === null ? others : [...others, { ...found, repository }].sort(highestFirst);
    return { packages: put(packages, name, all) };
  },
  digest: ({ packages }, { name, id, path }, { digestOf }) => ({
    packages: put(
      packages,
      name,
      (packages.get(name) ?? []).map((found) => (found.id === id ? { ...found, digest: digestOf(path) } : found)),
    ),
  }),
  uninstall: ({ packages }, { name, path }) => ({
    packages: put(
      packages,
      name,
      (packages.get(name) ?? []).filter((found) => found.path !== path),
    ),
  }),
  mount({ mounts }, { name, id, image }, { fresh }) {
    const backing = image === null ? null : { dev: image.identity.dev, ino: image.identity.ino };
    const mount = {
      id,
      name,
      version: splitContainerId(id).version ?? '',
      mountId: fresh(),
      target: `/${id}`,
      backing,
      integrity: 'intact' as const,
    };
    return { mounts: put(mounts, name, [...(mounts.get(name) ?? []), mount]) };
  },
  umount: ({ mounts }, { name, id }) => ({
    mounts: put(
      mounts,
      name,
      (mounts.get(name) ?? []).filter((mount) => mount.id !== id),
    ),
  }),
  limit: ({ cgroups }, { name, section }, { hierarchies }) =>
    group(cgroups, name, limited(cgroups.get(name) ?? noGroup(name), section, hierarchies)),
  freeze({ cgroups }, { name, attempt }) {
    const known = cgroups.get(name);
    // With the v1 freezer this may be the first group that the name has.
    const leaves = [...new Set([...(known?.leaves ?? []), attempt])];
    return group(cgroups, name, { leaves, frozen: new Map(known?.frozen).set(attempt, 'frozen') });
  },
  thaw: ({ cgroups }, { name, attempt }) => group(cgroups, name, { frozen: thawed(cgroups.get(name), attempt) }),
  'end-leaf': (observed, { name, attempt }, { view }) => ended(observed, name, attempt, 9, view.now),
  'remove-leaf': ({ cgroups }, { name, attempt }) =>
    group(cgroups, name, {
      leaves: (cgroups.get(name)?.leaves ?? []).filter((id) => id !== attempt),
      frozen: thawed(cgroups.get(name), attempt),
    }),
  'remove-group': ({ cgroups }, { name }) => ({ cgroups: without(cgroups, name) }),
  'keep-data': ({ kept }, { name, version, confirmed }) => ({
    kept: withValue(kept, name, { version, confirmed, touched: false }),
  }),
  'restore-data': ({ kept }, { name }) => ({ kept: without(kept, name) }),
  'drop-data': ({ kept }, { name }) => ({ kept: without(kept, name) }),
  prepare: (observed, step, circumstances) => prepared(observed, step, circumstances, circumstances.fresh()),
  start(observed, step, circumstances) {
    const { name, key } = step;
    const id = circumstances.fresh();
    const made = prepared(observed, step, circumstances, id);
    return { ...made, ...gone({ ...observed, ...made }, { name, key, id, after: 0 }, circumstances) };
  },
  go: gone,
  ask: ({ attempts }, { name, id, revision }) => ({
    attempts: put(
      attempts,
      name,
      (attempts.get(name) ?? []).map((each) =>
        each.id === id ? { ...each, health: { ...each.health, revision } } : each,
      ),
    ),
  }),
  signal: (observed, { name, id, signal }, { view }) => ended(observed, name, id, signal, view.now),
  kill: (observed, { name, id }, { view }) => ended(observed, name, id, 9, view.now),
  discard: ({ attempts }, { name, id }) => forget(attempts, name, id),
  forget: ({ attempts }, { name, id }) => forget(attempts, name, id),
  note: ({ ran }, { name, ran: next }) => ({ ran: next === null ? without(ran, name) : withValue(ran, name, next) }),
};

/** A sandbox is made as the attempt `id`. */
function prepared(
  { attempts, cgroups }: Observed,
  step: Extract<AnyStep, { op: 'prepare' | 'start' }>,
  { view, hierarchies }: Circumstances,
  id: number,
): Partial<Observed> {
  const { name, key, version, made: hash } = step;
  const target = view.targets.find((each) => each.key === key);
  if (target === undefined) return {};
  const record = recordOf(step, target, view, view.now);
  const leaves = [...(cgroups.get(name)?.leaves ?? []), id];
  const section = sectionOf(target);
  const before = cgroups.get(name) ?? noGroup(name, parentOf(section));
  const limits = { place: before.place, ...limited(before, section, hierarchies) };
  const attempt = { ...unseen, id, name, version, hash, record, preparedAt: view.now };
  return { attempts: seen(attempts, attempt), ...group(cgroups, name, { leaves, ...limits }) };
}

/** The application is started, or will be when the attempt `after` has ended. */
function gone(
  { attempts, ran }: Observed,
  { name, key, id, after }: Pick<Extract<AnyStep, { op: 'go' }>, 'name' | 'key' | 'id' | 'after'>,
  { view }: Circumstances,
): Partial<Observed> {
  const attempt = attempts.get(name)?.find((each) => each.id === id);
  if (attempt === undefined) return {};
  const asked = view.targets.find((target) => target.key === key)?.entry.run ?? null;
  const run = asked?.id ?? null;
  const record = { ...attempt.record, run, ...(asked?.by !== undefined && { by: asked.by }) };
  const started = after === 0 ? { state: 'running' as const, startedAt: view.now } : { after, going: true };
  // A start that happens at once notes by itself that it has been.
  const noted =
    after === 0 && !record.autostart && record.by !== 'once'
      ? { ran: withValue(ran, name, { run, exit: null, attempt: id }) }
      : {};
  return { attempts: seen(attempts, { ...attempt, record, ...started }), ...noted };
}

/** An attempt that has been told to stop ends, and one that waited for its end begins. */
function ended({ attempts }: Observed, name: string, id: number, signal: number, now: number): Partial<Observed> {
  const next = (attempts.get(name) ?? []).map((attempt): ObservedAttempt => {
    if (attempt.after === id) return { ...attempt, state: 'running', startedAt: now, after: 0, going: false };
    if (attempt.id !== id) return attempt;
    const record = { ...attempt.record, stop: { deadline: now, killed: signal === 9 } };
    return { ...attempt, record, state: 'exited', exitedAt: now, exit: { signal } };
  });
  return { attempts: put(attempts, name, next) };
}

function seen(attempts: Observed['attempts'], attempt: ObservedAttempt): Observed['attempts'] {
  return put(attempts, attempt.name, withAttempt(attempts.get(attempt.name) ?? [], attempt));
}

function forget(attempts: Observed['attempts'], name: string, id: number): Partial<Observed> {
  return {
    attempts: put(
      attempts,
      name,
      (attempts.get(name) ?? []).filter((attempt) => attempt.id !== id),
    ),
  };
}

function group(cgroups: Observed['cgroups'], name: string, change: Partial<ObservedCgroup>): Partial<Observed> {
  return { cgroups: withValue(cgroups, name, { ...(cgroups.get(name) ?? noGroup(name)), ...change }) };
}

/** The groups of a name that has none yet. */
export function noGroup(name: string, place: string | null = null): ObservedCgroup {
  return { name, groups: new Map(), place, leaves: [], frozen: new Map(), limits: '', own: new Map() };
}

function thawed(known: ObservedCgroup | undefined, attempt: number): ObservedCgroup['frozen'] {
  return new Map([...(known?.frozen ?? [])].filter(([id]) => id !== attempt));
}

function highestFirst(a: ObservedPackage, b: ObservedPackage): number {
  return compareVersions(b.version, a.version);
}

/** A map with other items under a name; none are left out. */
function put<T>(map: ReadonlyMap<string, readonly T[]>, name: string, items: readonly T[]) {
  return items.length === 0 ? without(map, name) : withValue(map, name, items);
}

function withValue<T>(map: ReadonlyMap<string, T>, name: string, value: T): ReadonlyMap<string, T> {
  return new Map(map).set(name, value);
}

function without<T>(map: ReadonlyMap<string, T>, name: string): ReadonlyMap<string, T> {
  const next = new Map(map);
  next.delete(name);
  return next;
}
