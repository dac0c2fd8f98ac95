// The file of the boot plan.
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { patchOf } from '../../native/wire/plan-patch.ts';
import { ifMissing } from '../../state/errno.ts';
import { draftOf, prepareFile } from '../../state/file/write-file.ts';

/** Bytes from which on what has changed of a plan lies beside it. */
const long = 128 << 10;

/** Where the plan lies. */
function planFile(stateDir: string): string {
  return join(stateDir, 'boot.plan');
}

/** What has changed since it was written: the player takes both together, or that alone. */
function patchFile(stateDir: string): string {
  return `${planFile(stateDir)}-patch`;
}

/** Puts it there, unless it is there already: as a patch where it is long and little of it is other. Rejects with the errno. */
export async function putPlan(stateDir: string, plan: Uint8Array): Promise<void> {
  const [path, beside] = [planFile(stateDir), patchFile(stateDir)];
  const base = await readFile(path).catch(ifMissing);
  const isSame = base?.equals(plan) === true;
  const patch = isSame || base === null || plan.length < long ? null : patchOf(base, plan);
  if (patch === null) {
    if (!isSame) await (await prepareFile(path, plan)).commit();
    await rm(beside, { force: true });
    return;
  }
  const kept = await readFile(beside).catch(ifMissing);
  if (kept?.equals(patch) !== true) await (await prepareFile(beside, patch)).commit();
}

/** Takes it away: no boot starts from it. Rejects with the errno. */
export async function dropPlan(stateDir: string): Promise<void> {
  for (const path of [patchFile(stateDir), planFile(stateDir)]) await rm(path, { force: true });
}

/** Takes away what a power cut has left of writing one. Rejects with the errno. */
export async function dropDraft(stateDir: string): Promise<void> {
  for (const path of [patchFile(stateDir), planFile(stateDir)]) await rm(draftOf(path), { force: true });
}
