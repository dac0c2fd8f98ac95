// The file of the boot plan.
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { draftOf } from '../../state/file/write-file.ts';

/** Where the plan lies. */
export function planFile(stateDir: string): string {
  return join(stateDir, 'boot.plan');
}

/** Takes it away: no boot starts from it. Rejects with the errno. */
export async function dropPlan(stateDir: string): Promise<void> {
  await rm(planFile(stateDir), { force: true });
}

/** Takes away what a power cut has left of writing one. Rejects with the errno. */
export async function dropDraft(stateDir: string): Promise<void> {
  await rm(draftOf(planFile(stateDir)), { force: true });
}
