// A new document: what becomes of it, at once or by and by.
import { showForced, storeLock, type Core, type Pending } from './core.ts';
import type { GoodDocument } from './parsed-document.ts';
import { putIntoForce } from './put-into-force.ts';
import { endTrial, releaseNamed, stageDocument, wayOf } from './stage-document.ts';
import type { Adopted } from './staged.ts';

/**
 * A new text becomes the document in force, or is staged where it is to be tried; patches that are pending are made anew on it.
 * Gives those that are withdrawn.
 */
export async function adopt(
  core: Core,
  text: string,
  parsed: GoodDocument,
  adopted: Adopted,
): Promise<readonly Pending[]> {
  await releaseNamed(core, parsed);
  const way = await wayOf(core, parsed);
  const { kind, origin, besides = null, signature = null, forced = false } = adopted;
  if (way.kind === 'try') {
    await stageDocument(core, { ...adopted, ...parsed, text, besides, signature }, way.terms);
    return [];
  }
  await storeLock(core);
  const generation = ++core.highest;
  const made = { generation, kind, origin, text, endMark: parsed.endMark, besides, signature, forced };
  if (forced) showForced(core, generation);
  const withdrawn = await putIntoForce(core, made, parsed, adopted, true);
  if (way.kind === 'end') await endTrial(core, adopted.origin);
  return withdrawn;
}
