// What happens to the device from outside: edits of the document, packages that come and go, drift, and deaths.
import type { ContainerEntry, Desired } from '../../state/desired.ts';
import { noGroup } from '../../controllers/forecast/effect.ts';
import { names, randomEntry, randomState, runOf, versions } from './catalog.ts';
import type { SimulatedLauncher } from './sim-launcher.ts';
import { drop, isLive, setPackages, type World } from './world.ts';

/** Changes the document; gives the names whose entries are other ones now. */
export function edit(world: World): string[] {
  const { random } = world;
  const name = random.pick(names);
  const old = world.desired.containers.get(name);
  world.generation += 1;
  if (random.chance(0.1)) return editVersion(world, name);
  if (random.chance(0.05)) return editRepository(world);
  if (old === undefined) return put(world, name, randomEntry(random, name, world.generation));
  if (random.chance(0.15)) return put(world, name, undefined);
  if (random.chance(0.15)) return update(world, name);
  return put(world, name, { ...old, ...changeOf(world, old), generation: world.generation });
}

function changeOf({ random }: World, old: ContainerEntry): Partial<ContainerEntry> {
  const next = randomEntry(random, old.name, 0);
  return random.pick<() => Partial<ContainerEntry>>([
    () => ({ version: next.version, source: next.source }),
    () => ({ version: next.version, source: next.source }),
    () => ({ state: randomState(random, old.name) }),
    () => ({ state: randomState(random, old.name) }),
    () => ({ env: next.env }),
    () => ({ run: runOf((old.run?.id ?? 0) + 1) }),
    () => ({ restart: next.restart, stop: next.stop }),
    () => ({ dependsOn: next.dependsOn, restartWith: next.restartWith }),
    () => ({ prepare: next.prepare, update: next.update }),
    () => ({ paused: !old.paused }),
    () => ({ cgroups: next.cgroups }),
    () => ({ health: next.health, settle: next.settle, timeout: next.timeout }),
  ])();
}

/** An entry of one more version, beside the one that runs. */
function editVersion(world: World, name: string): string[] {
  const { random, desired } = world;
  const version = random.pick(versions);
  const key = `${name}:${version}`;
  const containers = new Map(desired.containers);
  const state = random.pick(['absent', 'installed', 'mounted'] as const);
  if (containers.has(key)) containers.delete(key);
  else {
    const restart = { policy: 'never' as const, backoff: 100, maxBackoff: 100, resetAfter: 100, limit: 0 };
    const entry = randomEntry(random, name, world.generation);
    containers.set(key, {
      ...entry,
      key,
      version,
      state,
      source: null,
      restart,
      run: null,
      dependsOn: new Map(),
      restartWith: [],
    });
  }
  return take(world, name, { ...desired, containers }, key);
}

/** The repository is taken out of the document, with all that lies in it, or put back. Nothing may stop for that. */
function editRepository(world: World): string[] {
  const { desired, observed, removed } = world;
  world.log(`edit: the repository is ${removed === null ? 'removed' : 'put back'}`);
  if (removed === null) {
    world.removed = { packages: observed.packages, repositories: desired.repositories };
    world.desired = { ...desired, repositories: new Map() };
    world.observed = { ...observed, packages: new Map() };
  } else {
    world.removed = null;
    world.desired = { ...desired, repositories: removed.repositories };
    world.observed = { ...observed, packages: removed.packages };
  }
  return [...names];
}

function put(world: World, name: string, entry: ContainerEntry | undefined): string[] {
  const containers = new Map(world.desired.containers);
  if (entry === undefined) containers.delete(name);
  else containers.set(name, entry);
  return take(world, name, { ...world.desired, containers }, name);
}

function take(world: World, name: string, desired: Desired, key: string): string[] {
  const { generation: _, ...shown } = { generation: 0, ...desired.containers.get(key) };
  world.log(
    `edit ${key}: ${JSON.stringify(shown, (_key, value: unknown) => (value instanceof Map ? [...value] : value))}`,
  );
  world.desired = desired;
  world.lock.delete(key);
  world.demand(name);
  return [name];
}

/** `northstate update NAME`. */
function update(world: World, name: string): string[] {
  world.log(`update ${name}`);
  world.lock.delete(name);
  world.demand(name);
  return [name];
}

/** Something happens behind the runtime's back; gives the name that it happened to, null when there was nothing to do. */
export function drift(world: World, launcher: SimulatedLauncher): string | null {
  const { random } = world;
  const name = random.pick(names);
  const what = random.pick([
    'drop',
    'drop',
    'delete',
    'umount',
    'kill',
    'group',
    'limits',
    'thaw',
    'host',
    'write',
    'corrupt',
    'foreign',
    'prober',
  ] as const);
  if (what === 'prober') {
    world.log('outside: the prober is killed');
    launcher.loseProber();
    return null;
  }
  const { packages, mounts, cgroups, attempts } = world.observed;
  if (what === 'write' || what === 'corrupt') return damage(world, name, what);
  if ((what === 'drop' || what === 'delete') && world.removed !== null) return null;
  if (what === 'drop') {
    const version = random.pick(versions);
    world.log(`outside: ${name}:${version} is dropped`);
    drop(world, name, version);
    return name;
  }
  if (what === 'delete') {
    const found = packages.get(name) ?? [];
    if (found.length === 0) return null;
    const gone = random.pick(found);
    world.log(`outside: ${gone.id} is deleted`);
    setPackages(
      world,
      name,
      found.filter((each) => each !== gone),
    );
    return name;
  }
  if (what === 'umount') {
    const found = mounts.get(name) ?? [];
    if (found.length === 0) return null;
    const gone = random.pick(found);
    world.log(`outside: ${gone.id} is unmounted`);
    const rest = found.filter((each) => each !== gone);
    world.observed = { ...world.observed, mounts: changed(mounts, name, rest.length === 0 ? undefined : rest) };
    return name;
  }
  if (what === 'kill') {
    const running = attempts.get(name)?.find(({ state }) => state === 'running');
    if (running !== undefined) launcher.end(running, { signal: 9 });
    else launcher.lose(name);
    return null;
  }
  const group = cgroups.get(name);
  if (what === 'host') {
    world.log('outside: a host path leads elsewhere');
    world.host += 1;
    return null;
  }
  if (what === 'foreign') return joinGroup(world, name);
  if (group === undefined) return null;
  const busy = attempts.get(name)?.some(isLive) === true;
  if (what === 'group' && (busy || group.leaves.some((leaf) => world.foreign.has(leaf)))) return null;
  world.log(`outside: ${what} of ${name}'s group`);
  const others = what === 'thaw' ? { frozen: new Map<number, 'frozen'>() } : { limits: 'memory.limit_in_bytes 1' };
  const next = what === 'group' ? undefined : { ...group, ...others };
  world.observed = { ...world.observed, cgroups: changed(cgroups, name, next) };
  return name;
}

/** Another runtime, or what is left of one, is in the group of a name. */
function joinGroup(world: World, name: string): string {
  const leaf = 1_000_000 + world.fresh();
  world.log(`outside: another runtime is in ${name}'s group, as ${leaf}`);
  const { cgroups } = world.observed;
  const known = cgroups.get(name) ?? noGroup(name);
  world.foreign = new Set([...world.foreign, leaf]);
  const next = { ...known, leaves: [...known.leaves, leaf] };
  world.observed = { ...world.observed, cgroups: changed(cgroups, name, next) };
  return name;
}

/** The other runtime has ended: its leaves are empty. */
export function leaveGroups(world: World): void {
  const all = new Set([...world.observed.cgroups.values()].flatMap(({ leaves }) => leaves));
  for (const leaf of world.foreign) if (!all.has(leaf)) world.breach(`leaf ${leaf} of another runtime was removed`);
  world.foreign = new Set();
}

/** The file of a mounted image is written to, or a block of it turns out not to be the signed one. */
function damage(world: World, name: string, what: 'write' | 'corrupt'): string | null {
  const { random } = world;
  const { mounts, packages, attempts } = world.observed;
  const found = mounts.get(name) ?? [];
  if (found.length === 0) return null;
  const spoilt = random.pick(found);
  world.log(`outside: ${spoilt.id} is ${what === 'write' ? 'written to' : 'corrupted'} while it is mounted`);
  const integrity = what === 'write' ? ('written' as const) : ('corrupted' as const);
  const next = found.map((each) => (each === spoilt && each.integrity !== 'written' ? { ...each, integrity } : each));
  world.observed = { ...world.observed, mounts: changed(mounts, name, next) };
  if (what === 'corrupt') return name;
  for (const all of attempts.values()) {
    for (const { name: user, version, record } of all) {
      if (`${user}:${version}` === spoilt.id || record.uses.includes(spoilt.id)) world.demand(user);
    }
  }
  const rest = (packages.get(name) ?? []).filter(({ id }) => id !== spoilt.id);
  if (random.chance(0.5)) setPackages(world, name, rest);
  return name;
}

function changed<T>(map: ReadonlyMap<string, T>, name: string, value: T | undefined): ReadonlyMap<string, T> {
  const next = new Map(map);
  if (value === undefined) next.delete(name);
  else next.set(name, value);
  return next;
}
