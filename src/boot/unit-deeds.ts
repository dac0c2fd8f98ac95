// What the units of a boot plan do: what everybody stands on, an image, a container.
import { serialize } from 'node:v8';
import { join } from 'node:path';
import type { View, Target } from '../../controllers/controller.ts';
import type { PrepareStep, StartStep } from '../../controllers/forecast/cold-boot.ts';
import type { Look } from '../../controllers/look.ts';
import type { Hierarchies } from '../../controllers/cgroups/cgroup-hierarchies.ts';
import { madeFrom } from '../../controllers/containers/candidate.ts';
import { recordOf } from '../../controllers/containers/containers-act.ts';
import { encodeRecord } from '../../controllers/containers/attempt-record.ts';
import { noteFile } from '../../controllers/containers/run-notes.ts';
import { bootImage } from '../../controllers/mounts/mount-boot.ts';
import type { MountStep } from '../../controllers/mounts/mounts-plan.ts';
import { keptPackages } from '../../controllers/repositories/package-cache.ts';
import { bootStart, NotAtBoot, type BootPorts } from '../../controllers/sandbox/sandbox-boot.ts';
import { blanks, mountBlank, type Deed } from '../../native/wire/boot-plan.ts';
import { createEncoder } from '../../native/wire/encoder.ts';
import { request } from '../../native/wire/wire.ts';
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

/** What everybody stands on. */
export function setupDeeds(state: State, { runDir, mountsDir, socketDir, selinux, roots, before }: PlanPorts): Deed[] {
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
  return claimed ? [...deeds, keepRoot()] : deeds;
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

/** An image is mounted. Throws NotAtBoot. */
export function imageDeeds({ id, image, waits }: MountStep, { selinux, mountsDir, pathOf }: PlanPorts): Deed[] {
  if (image === null || waits !== null) throw new NotAtBoot('it is not installed');
  const deeds = bootImage(selinux ? image : { ...image, context: null }, pathOf(id), mountsDir);
  if (deeds === null) throw new NotAtBoot('its file has changed, or is checked as a whole before it is mounted');
  return deeds;
}

/** A container, or, where it does not start, the sandbox that is kept ready for it. Throws NotAtBoot. */
export function sandboxDeeds(
  step: StartStep | PrepareStep,
  target: Target,
  view: View,
  { attempt, attempts, ports }: { attempt: number; attempts: ReadonlyMap<string, number>; ports: PlanPorts },
): { readonly deeds: readonly Deed[]; readonly looks: readonly Look[] } {
  const starts = step.op === 'start';
  const placed = withPaths(view, ports);
  const start = bootStart(placed, target, attempt, ports);
  const record = recordText(step, target, placed, attempts);
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
  const deeds = [
    ...start.deeds,
    prepare,
    ...(starts && target.autostart === null ? [note] : []),
    ...(starts ? [go] : []),
  ];
  return { deeds, looks: start.looks };
}

/** The number of a name. Throws NotAtBoot. */
export function need(numbers: ReadonlyMap<string, number>, name: string): number {
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
