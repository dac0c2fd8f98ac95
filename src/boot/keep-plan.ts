// Keeps the boot plan of what is in force beside its generations, written so that a power cut leaves the old one, the new one or
// none.
import { readFile } from 'node:fs/promises';
import { machine, release } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { openPlan } from '../../native/wire/boot-plan.ts';
import { bootDelegation } from '../../controllers/cgroups/delegated-group.ts';
import { generationFiles } from '../../state/document/generation-files.ts';
import { ifMissing } from '../../state/errno.ts';
import { inSlices, type Sliced } from '../../state/in-slices.ts';
import type { State } from '../../state/store.ts';
import { isUnderWay } from '../../state/trial/trial-record.ts';
import { usesBootPlan, type Configuration } from '../config/configuration.ts';
import { readSource } from '../config/read-configuration.ts';
import { putPlan } from './plan-file.ts';
import { findSummary, summaryHead } from '../config/summary.ts';
import { runtimeVersion } from '../runtime-version.ts';
import { createUnits, type Made, type MakeUnits } from './make-plan.ts';
import type { PlanPorts } from './unit-deeds.ts';

export interface KeepPorts extends Omit<PlanPorts, 'before'> {
  readonly config: Configuration;
  /** What the command line has said of it. */
  readonly file: string | undefined;
  readonly overrides: { readonly desired?: string; readonly stateDir?: string };
  /** The document in force; null while something of it is yet to be written. */
  readonly text: string | null;
  /** Whether the state is still what the plan is made of. */
  readonly isPresent: () => boolean;
}

/** `unkept`: why there is none for now. */
export interface Kept {
  readonly started: number;
  readonly left: ReadonlyMap<string, string>;
  readonly unkept: string | null;
}

const none = (unkept: string): Kept => ({ started: 0, left: new Map(), unkept });

/** Writes the plan of a state, which has converged, unless it is there already. Rejects with the errno. */
export type KeepPlan = (state: State, ports: KeepPorts) => Promise<Kept>;

/** Makes what writes plan after plan: each costs what has changed since the last. */
export function createKeepPlan(): KeepPlan {
  const makeUnits = createUnits();
  return (state, ports) => keepPlan(state, ports, makeUnits);
}

async function keepPlan(state: State, ports: KeepPorts, makeUnits: MakeUnits): Promise<Kept> {
  const { config, file, overrides } = ports;
  if (isBefore(release(), [5, 12])) return none('this kernel has no mount_setattr (Linux 5.12)');
  if (!usesBootPlan(config)) return none('documents must be signed, and a plan is not (bootPlan: trusted)');
  if (state.overlay.length > 0) return none('a console has changed what is in force, until the boot ends');
  if (isUnderWay(state.trial?.record ?? null)) return none('a document is on trial, and not confirmed yet');
  if (state.document.status !== 'ok') return none(`the document is ${state.document.status}`);
  for (const { type } of state.conditions.values()) if (type !== 'NotWatched') return none(`the condition ${type}`);
  if (ports.text === null) return none('what a console has changed is yet to be written');
  const source = await readSource(file, overrides);
  const summary = await findSummary(source);
  if (summary === null || !isDeepStrictEqual({ ...summary, cgroup: config.cgroup }, config))
    return none('the configuration has changed since the start, or its summary cannot be kept');
  const document = await readFile(config.desired).catch(ifMissing);
  if (document?.toString() !== (document === null ? undefined : ports.text))
    return none('the document has just changed');
  const stored = (await generationFiles(join(config.stateDir, 'generations'), true).list()).at(-1)?.generation ?? 0;
  const before = await bootDelegation(summary.cgroup, config.cgroup);
  const work = function* (): Sliced<Made & { readonly plan: Uint8Array }> {
    const plan = openPlan({
      ...{ runtime: runtimeVersion, kernel: release(), machine: machine(), source: summaryHead(source) },
      ...{ document: { path: config.desired, text: document }, generation: stored },
    });
    const made = yield* makeUnits(state, { ...ports, before }, plan.add);
    return { ...made, plan: plan.end() };
  };
  const made = await inSlices(work(), ports.isPresent);
  if (made === null) return none('something else is in force meanwhile');
  const { started, left, plan } = made;
  await putPlan(config.stateDir, plan);
  return { started, left, unkept: null };
}

function isBefore(kernel: string, [major, minor]: readonly [number, number]): boolean {
  const [is = 0, and = 0] = kernel.split('.').map((part) => Number.parseInt(part, 10));
  return is < major || (is === major && and < minor);
}
