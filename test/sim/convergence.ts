// What must be true when nothing is left to do: an independent reading of the document, beside the planners' own.
import type { ContainerEntry, Dependency } from '../../state/desired.ts';
import { replacingHash } from '../../state/desired.ts';
import type { ObservedAttempt } from '../../state/observed.ts';
import { matches, parseRequirement } from '../../state/version.ts';
import type { Host } from './host.ts';
import { isLive, writtenImage, type World } from './world.ts';
import { unsettledText } from '../../controllers/failure.ts';

/** Looks at a device on which nothing has failed for a while. */
export function checkConverged(world: World, host: Host): void {
  const outcome = host.reconciler.outcome(null).result;
  if (outcome === 'moving' && !waitsForever(world)) return world.breach(`it is still moving: ${reasons(world, host)}`);
  const names = new Set([...world.desired.containers.values()].map(({ name }) => name));
  for (const name of names) checkName(world, host, name);
  const { attempts, mounts, cgroups, packages } = world.observed;
  for (const [name, all] of attempts) {
    if (outcome === 'converged' && all.filter(isLive).length > 1)
      world.breach(`${name} has more than one live attempt at rest`);
    if (all.length > (outcome === 'converged' ? 2 : 3)) world.breach(`${name} has ${all.length} attempts at rest`);
  }
  for (const attempt of [...attempts.values()].flat()) {
    const lost = isLive(attempt) ? writtenImage(world.observed, attempt) : null;
    if (lost !== null) world.breach(`attempt ${attempt.id} of ${attempt.name} lives on ${lost}, which was written to`);
  }
  for (const [name, { leaves }] of cgroups) {
    const live = new Set(
      attempts
        .get(name)
        ?.filter(isLive)
        .map(({ id }) => id),
    );
    for (const id of leaves) if (!live.has(id)) world.breach(`the leaf of attempt ${id} of ${name} is left`);
  }
  for (const [name, all] of mounts) {
    for (const { id, version, integrity } of all) {
      // What starts by itself waits for a good file.
      const waits = integrity === 'written' && host.view(name).targets.some((each) => each.version === version);
      if (!waits && !isWanted(world, name, version)) world.breach(`${id} is left mounted`);
    }
  }
  for (const entry of world.desired.containers.values()) {
    if (entry.state !== 'absent' || entry.version === null || !/^\d/.test(entry.version)) continue;
    const kept = [...world.desired.containers.values()].some(
      ({ name, state, key }) =>
        name === entry.name && state !== 'absent' && (world.lock.get(key)?.version ?? '') === entry.version,
    );
    const found = packages.get(entry.name)?.some(({ version }) => version === entry.version);
    const id = `${entry.name}:${entry.version}`;
    const used = [...attempts.values()]
      .flat()
      .some((all) => isLive(all) && [`${all.name}:${all.version}`, ...all.record.uses].includes(id));
    // Whatever wants to run and needs it as a resource keeps it, also when it cannot be started for good.
    const needed = entry.name === 'data' && isWanted(world, 'beta', null);
    if (found === true && !kept && !used && !needed)
      world.breach(`${entry.key} ${entry.version} should be absent and is installed`);
  }
  const status = host.store.get().status;
  if (outcome === 'converged' && status.observedGeneration !== world.generation)
    world.breach('the status is of an older generation');
}

function checkName(world: World, host: Host, name: string): void {
  const entry = [...world.desired.containers.values()].find((each) => each.name === name && each.state === 'running');
  const running = world.observed.attempts.get(name)?.find(({ state }) => state === 'running');
  if (entry === undefined) {
    if (running !== undefined && !running.record.autostart) world.breach(`${name} runs and nothing asks for it`);
    return;
  }
  const version = world.lock.get(entry.key)?.version;
  const right = running !== undefined && running.version === version && running.record.stop === null;
  if (right && fits(entry, version)) {
    const frozen = world.observed.cgroups.get(name)?.frozen.get(running.id) === 'frozen';
    // What another entry wants deleted is on its way out.
    const goes = world.desired.containers.get(`${name}:${running.version}`)?.state === 'absent';
    if (frozen !== entry.paused && !goes)
      world.breach(`${name} is ${frozen ? 'frozen' : 'not frozen'}, against its entry`);
    return checkEntry(world, host, entry);
  }
  if (isExcused(world, host, entry, running !== undefined)) return;
  const what = running === undefined ? 'nothing runs' : `${running.version} runs`;
  world.breach(
    `${name} should run (${String(entry.version)}, locked ${String(version)}) and ${what}: ${reasons(world, host)}`,
  );
}

/** What runs was made for the entry as it is now. */
function checkEntry(world: World, host: Host, entry: ContainerEntry): void {
  const running = world.observed.attempts.get(entry.name)?.find(({ state }) => state === 'running');
  const target = host.view(entry.name).targets.find(({ key }) => key === entry.key);
  const same = running?.record.entry === target?.replacing;
  if (same || isExcused(world, host, entry, true)) return;
  world.breach(`${entry.name} runs with an older entry than ${replacingHash(entry).slice(0, 8)}`);
}

/** No other entry wants that version deleted; one that an entry names exactly is its own affair. */
function isLeft({ desired }: World, entry: ContainerEntry, version: string): boolean {
  if (entry.version === version) return true;
  return [...desired.containers.values()].every(
    (other) =>
      other.key === entry.key || other.name !== entry.name || other.state !== 'absent' || other.version !== version,
  );
}

function fits({ version }: ContainerEntry, running: string | undefined): boolean {
  if (version === null || running === undefined) return true;
  return /^\d+\.\d+\.\d+$/.test(version) ? version === running : matches(parseRequirement(version), running);
}

/** What keeps a container from running, or from being replaced, and is no fault of the runtime. */
function isExcused(world: World, host: Host, entry: ContainerEntry, runs: boolean): boolean {
  const { packages, attempts, ran } = world.observed;
  const version = world.lock.get(entry.key)?.version ?? entry.version;
  const own = packages.get(entry.name)?.find((found) => found.version === version);
  if (own === undefined) return true;
  const left = packages
    .get(entry.name)
    ?.filter((found) => fits(entry, found.version) && isLeft(world, entry, found.version));
  if (left?.length === 0) return !runs || entry.source !== null;
  if (
    own.manifest.mounts !== undefined &&
    packages.get('data')?.some((found) => found.version.startsWith('1.')) !== true
  )
    return true;
  if ([...entry.dependsOn].some(([name, asked]) => !hasCome(world, name, asked))) return true;
  // Neither does what it depends on run on an image that was written to.
  const needed = [entry, ...[...entry.dependsOn.keys()].flatMap((name) => world.entry(name) ?? [])];
  if (needed.some((each) => isSpoilt(world, host, each))) return true;
  const all = attempts.get(entry.name) ?? [];
  const last = all.findLast(({ state }) => state === 'exited' || state === 'failed');
  const present = all.find(({ state }) => state === 'running');
  // A start that no retry mends; of a replacement, too, for which nothing is stopped then.
  if (last?.failure?.code === 'ENOENT' && last.id > (present?.id ?? 0)) return true;
  if (runs) return false;
  const exit = last?.exit ?? ran.get(entry.name)?.exit ?? null;
  const { policy, limit } = entry.restart;
  if (limit > 0 && (last?.record.restarts ?? 0) >= limit) return true;
  if (last?.record.stop?.fault !== undefined) return policy === 'never';
  if (policy === 'never') return last !== undefined || ran.has(entry.name);
  return policy === 'on-failure' && exit !== null && 'code' in exit && exit.code === 0;
}

/** The end of a run that does not end is waited for. */
function waitsForever(world: World): boolean {
  return [...world.desired.containers.values()].some(({ state, dependsOn }) =>
    [...dependsOn].some(
      ([name, asked]) =>
        state === 'running' &&
        asked === 'succeeded' &&
        world.observed.attempts.get(name)?.some((attempt) => attempt.state === 'running') === true,
    ),
  );
}

function hasCome(world: World, name: string, asked: Dependency): boolean {
  if (asked === 'succeeded') return hasSucceeded(world, name);
  const run = world.observed.attempts.get(name)?.find(({ state }) => state === 'running');
  return run !== undefined && (asked === 'running' || !isHeldUnready(world, run));
}

/** Nobody asks one that is paused whether it is ready: it stays what it was. */
function isHeldUnready(world: World, { name, health }: ObservedAttempt): boolean {
  const entry = world.entry(name);
  return entry?.paused === true && (entry.health?.ready ?? null) !== null && health.readyAt === null;
}

/** The run that its entry asks for has ended by itself with 0, and another one is neither due nor asked for. */
function hasSucceeded({ observed, desired }: World, name: string): boolean {
  const entry = [...desired.containers.values()].find((each) => each.name === name && each.state === 'running');
  if (entry === undefined || entry.restart.policy === 'always') return false;
  const all = observed.attempts.get(name) ?? [];
  const last = all.findLast(({ state }) => state === 'exited' || state === 'failed');
  const { run, exit } =
    last === undefined ? (observed.ran.get(name) ?? nothing) : { run: last.record.run, exit: last.exit };
  const isGood = exit !== null && 'code' in exit && exit.code === 0 && (last?.record.stop ?? null) === null;
  const isAsked = entry.run !== null && entry.run.id !== run;
  return isGood && !isAsked && !all.some(({ state }) => state === 'running');
}

const nothing = { run: null, exit: null };

function isSpoilt(world: World, host: Host, entry: ContainerEntry): boolean {
  const version = world.lock.get(entry.key)?.version ?? entry.version ?? '';
  const used = { name: entry.name, version, record: { uses: resourcesOf(host, entry) } };
  return writtenImage(world.observed, used) !== null;
}

function resourcesOf(host: Host, entry: ContainerEntry): string[] {
  const target = host.view(entry.name).targets.find(({ key }) => key === entry.key);
  return target?.resources.flatMap(({ id }) => id ?? []) ?? [];
}

/** null = any version of it. */
function isWanted(world: World, name: string, version: string | null): boolean {
  const { desired } = world;
  const { attempts } = world.observed;
  if (name === 'data') return true;
  const live =
    attempts
      .get(name)
      ?.some((all) => (version ?? all.version) === all.version && (isLive(all) || all.record.autostart)) === true;
  const asked = [...desired.containers.values()].some(
    (entry) =>
      entry.name === name &&
      (entry.state === 'running' || entry.state === 'mounted') &&
      (version === null || fits(entry, version)),
  );
  return live || asked || [...desired.repositories.values()].some(({ mountOnStart }) => mountOnStart);
}

function reasons({ desired }: World, host: Host): string {
  const lines = [...desired.containers.values()].flatMap(({ name }) =>
    host.reconciler.explain(name).map((each) => `${name}: ${unsettledText(each)}`),
  );
  return lines.join('; ');
}
