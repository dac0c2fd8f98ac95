// The boot plan of what is in force: which units it has, in the order of a cold boot, and why something is not in it.
import { serialize } from 'node:v8';
import { join } from 'node:path';
import type { View, Target } from '../../controllers/controller.ts';
import { coldBooting, type BootStep, type PrepareStep, type StartStep } from '../../controllers/forecast/cold-boot.ts';
import type { Hierarchies } from '../../controllers/cgroups/cgroup-hierarchies.ts';
import { madeFrom } from '../../controllers/containers/candidate.ts';
import { recordOf } from '../../controllers/containers/containers-act.ts';
import { encodeRecord } from '../../controllers/containers/attempt-record.ts';
import { noteFile } from '../../controllers/containers/run-notes.ts';
import { bootImage } from '../../controllers/mounts/mount-boot.ts';
import type { MountStep } from '../../controllers/mounts/mounts-plan.ts';
import { keptPackages } from '../../controllers/repositories/package-cache.ts';
import { bootStart, NotAtBoot, type BootPorts } from '../../controllers/sandbox/sandbox-boot.ts';
import { blanks, mountBlank, type Deed, type Unit } from '../../native/wire/boot-plan.ts';
import { createEncoder } from '../../native/wire/encoder.ts';
import { request } from '../../native/wire/wire.ts';
import { containerId } from '../../state/container-id.ts';
import type { ContainerEntry } from '../../state/desired.ts';
import type { Sliced } from '../../state/in-slices.ts';
import type { ObservedMount } from '../../state/observed.ts';
import type { State } from '../../state/store.ts';
import { socketDirMode } from '../../controllers/sandbox/start-descriptors.ts';

export interface PlanPorts extends BootPorts {
  readonly hierarchies: Hierarchies;
  /** Below it are runtime files and mounts. */
  readonly runDir: string;
  /** Where all images are mounted, and where one is. */
  readonly mountsDir: string;
  readonly pathOf: (id: string) => string;
  /** What the groups stand on, the root claimed in the given slot. */
  readonly roots: (slot: number) => Deed[];
  /** What must hold before the roots of the groups are made. */
  readonly before: readonly Deed[];
}

/** How many containers a plan starts, and what it leaves: containers and images by name, with the reason. */
export interface Made {
  readonly started: number;
  readonly left: ReadonlyMap<string, string>;
}

/** Gives the units of everything that a cold boot of this state does and that a plan may hold to `take`, one at a time. */
export function* makeUnits(state: State, ports: PlanPorts, take: (unit: Unit) => void): Sliced<Made> {
  take(setup(state, ports));
  let units = 1;
  const before: Before = { images: new Map(), containers: new Map(), attempts: new Map() };
  const left = new Map<string, string>();
  const steps = yield* coldBooting(state, { hierarchies: ports.hierarchies, now: 0 });
  for (const { step, view } of byUse(steps)) {
    yield;
    const name = step.op === 'mount' ? step.id : step.name;
    try {
      const unit = step.op === 'mount' ? imageUnit(step, ports) : sandboxUnit(step, view, before, ports);
      if (step.op === 'mount') before.images.set(name, units);
      if (step.op === 'start') before.containers.set(name, units);
      take(unit);
      units += 1;
    } catch (error) {
      if (!(error instanceof NotAtBoot)) throw error;
      left.set(name, error.message);
    }
  }
  for (const entry of state.desired.containers.values())
    if (entry.state === 'running' && !before.attempts.has(entry.name) && !left.has(entry.name))
      left.set(entry.name, whyNotReached(entry, before.attempts));
  return { started: before.containers.size, left };
}

/** Why a cold boot does not come to an entry by itself. */
function whyNotReached(entry: ContainerEntry, attempts: Before['attempts']): string {
  const lacks = [...entry.dependsOn.keys()].find((name) => !attempts.has(name));
  const reason = lacks === undefined ? 'a boot does not come to it at once' : `${lacks} is not in the plan`;
  return neverAtBoot(entry, true) ?? reason;
}

/** Each image right before the first that needs it, so that this one need not wait for those of others. */
function byUse(steps: readonly BootStep[]): Iterable<BootStep> {
  const mounts = new Map(steps.flatMap((each) => (each.step.op === 'mount' ? [[each.step.id, each] as const] : [])));
  const ordered = new Set<BootStep>();
  for (const each of steps) {
    const { step, view } = each;
    if (step.op === 'mount') continue;
    const resources = view.targets.find(({ key }) => key === step.key)?.resources ?? [];
    for (const id of [containerId(step.name, step.version), ...resources.flatMap((resource) => resource.id ?? [])]) {
      const mount = mounts.get(id);
      if (mount !== undefined) ordered.add(mount);
    }
    ordered.add(each);
  }
  for (const mount of mounts.values()) ordered.add(mount);
  return ordered;
}

/** Units by their place, and attempts, which are numbered as the launcher's first ones. */
interface Before {
  readonly images: Map<string, number>;
  readonly containers: Map<string, number>;
  readonly attempts: Map<string, number>;
}

function setup(state: State, { runDir, mountsDir, socketDir, selinux, roots, before }: PlanPorts): Unit {
  const directories = [runDir, mountsDir, join(runDir, 'ran')];
  const deeds: Deed[] = [
    ...before,
    ...(selinux ? [] : [{ deed: 'absent', path: '/sys/fs/selinux/enforce' } as const]),
    ...directories.map((path): Deed => ({ deed: 'mkdir', path, mode: 0o700 })),
    { deed: 'mkdir', path: socketDir, mode: socketDirMode },
    ...roots(0),
    { deed: 'copy', path: join(runDir, 'packages.json'), bytes: serialize(keptPackages(state.observed.packages)) },
  ];
  const claimed = deeds.some(({ deed }) => deed === 'claim');
  return { name: 'the runtime', needs: [], deeds: claimed ? [...deeds, keepRoot()] : deeds };
}

/** The claim outlives the player (claim-groups.ts). */
function keepRoot(): Deed {
  const body = createEncoder(32);
  body.text('cgroup root');
  body.u16(0);
  const none = new Uint8Array();
  return {
    deed: 'request',
    type: request.keep,
    slots: [0],
    before: body.end(),
    recorded: false,
    record: '',
    after: none,
  };
}

function imageUnit({ id, image, waits }: MountStep, { selinux, mountsDir, pathOf }: PlanPorts): Unit {
  if (image === null || waits !== null) throw new NotAtBoot('it is not installed');
  const deeds = bootImage(selinux ? image : { ...image, context: null }, pathOf(id), mountsDir);
  if (deeds === null) throw new NotAtBoot('its file has changed, or is checked as a whole before it is mounted');
  return { name: id, needs: [0], deeds };
}

/** A container, or, where it does not start, the sandbox that is kept ready for it. */
function sandboxUnit(step: StartStep | PrepareStep, view: View, before: Before, ports: PlanPorts): Unit {
  const target = view.targets.find(({ key }) => key === step.key);
  if (target === undefined) throw new NotAtBoot('it is not asked for');
  const starts = step.op === 'start';
  // One that waits for others gets its sandbox from whoever starts it.
  if (!starts && target.entry.state === 'running') throw new NotAtBoot(whyNotReached(target.entry, before.attempts));
  const never = target.autostart === null ? neverAtBoot(target.entry, starts) : null;
  if (never !== null) throw new NotAtBoot(never);
  const ids = [containerId(step.name, step.version), ...target.resources.flatMap(({ id }) => id ?? [])];
  const dependencies = starts ? [...target.entry.dependsOn.keys()] : [];
  const needs = [
    ...ids.map((id) => need(before.images, id)),
    ...dependencies.map((name) => need(before.containers, name)),
  ];
  const attempt = before.attempts.size + 1;
  const placed = withPaths(view, ports);
  const start = bootStart(placed, target, attempt, ports);
  const record = recordText(step, target, placed, before.attempts);
  const prepare: Deed = {
    ...{ deed: 'request', type: request.prepare, slots: start.prepare.slots, recorded: true, record },
    ...{ before: prepareHead(attempt, step.name, start.hash), after: start.prepare.bytes },
  };
  const go: Deed = {
    ...{ deed: 'request', type: request.go, slots: start.go.slots, recorded: true, record },
    ...{ before: goHead(attempt), after: start.go.bytes },
  };
  const note: Deed = {
    ...{ deed: 'put', path: join(ports.runDir, 'ran', noteFile(step.name)) },
    text: noteText(step.name, attempt, target),
  };
  before.attempts.set(step.name, attempt);
  return {
    name: step.name,
    needs: [0, ...needs],
    deeds: [...start.deeds, prepare, ...(starts && target.autostart === null ? [note] : []), ...(starts ? [go] : [])],
  };
}

/** Why an entry is left for the reconciler, null when it need not be; `starts`: more than its sandbox is made. */
export function neverAtBoot(entry: ContainerEntry, starts: boolean): string | null {
  const { run } = entry;
  if (entry.writtenBy === 'console' || entry.changedBy === 'console') return 'a console has said so';
  if (!starts) return null;
  const more = [...entry.dependsOn].find(([, what]) => what !== 'running');
  if (entry.paused) return 'it is paused';
  if (run !== null && (run.init ?? run.args ?? run.env) !== null) return 'it has a run of its own';
  if (entry.schedule !== null) return 'it has a schedule';
  if (entry.restart.policy === 'never' || entry.timeout !== null) return 'it is a job';
  return more === undefined ? null : `it waits for more than that ${more[0]} runs`;
}

function need(numbers: ReadonlyMap<string, number>, name: string): number {
  const found = numbers.get(name);
  if (found === undefined) throw new NotAtBoot(`${name} is not in the plan`);
  return found;
}

/** The walk mounts nothing anywhere. */
function withPaths(view: View, { pathOf }: PlanPorts): View {
  const placed = (mount: ObservedMount): ObservedMount => ({ ...mount, target: pathOf(mount.id) });
  const resources = [...view.resourceMounts].map(([id, mount]) => [id, placed(mount)] as const);
  return { ...view, mounts: view.mounts.map(placed), resourceMounts: new Map(resources) };
}

/**
 * What a start is made from is left out: one that failed is tried once more by the reconciler. A sandbox that waits is told by
 * it from one of something else.
 */
function recordText(
  step: StartStep | PrepareStep,
  target: Target,
  view: View,
  attempts: ReadonlyMap<string, number>,
): string {
  const partners = new Map([...view.partners.keys()].map((name) => [name, need(attempts, name)]));
  const made = step.op === 'start' ? '' : madeFrom(view, target, ({ target: path }) => mountBlank(path));
  const record = recordOf({ ...step, made: '' }, target, { partners }, 0);
  return Buffer.from(encodeRecord(record))
    .toString()
    .replace('"at":0', `"at":${blanks.now}`)
    .replace('"made":""', () => `"made":"${made}"`);
}

function noteText(name: string, attempt: number, { entry }: Target): string {
  const ran = { run: entry.run?.id ?? null, exit: null, attempt };
  return JSON.stringify({ name, boot: 'B', launcher: 0, ran })
    .replace('"boot":"B"', `"boot":"${blanks.boot}"`)
    .replace('"launcher":0', `"launcher":${blanks.launcherStarted}`);
}

function prepareHead(attempt: number, name: string, hash: string): Uint8Array {
  const to = createEncoder();
  to.u64(BigInt(attempt));
  to.text(name);
  return Buffer.concat([to.end(), Buffer.from(hash, 'hex')]);
}

function goHead(attempt: number): Uint8Array {
  const to = createEncoder(16);
  to.u64(BigInt(attempt));
  to.u64(0n);
  return to.end();
}
