// A document takes the place of the one in force, and pending patches are made anew on it.
import {
  saveBoot,
  setUnsure,
  setWritten,
  show,
  storeGeneration,
  type Core,
  type NewGeneration,
  type Pending,
} from './core.ts';
import type { GoodDocument } from './parsed-document.ts';
import { DocumentConflict } from './refusals.ts';
import type { Adopted } from './staged.ts';
import { metadataOf } from '../metadata.ts';
import { goodDocument, notWritable } from '../status.ts';

/** `stores`: it is to be stored as a generation yet. Gives the patches that are withdrawn. */
export async function putIntoForce(
  core: Core,
  { generation, kind, origin, text, endMark, besides, signature, forced = false }: Omit<NewGeneration, 'written'>,
  parsed: Pick<GoodDocument, 'tree' | 'desired'>,
  { notWritten, lock }: Pick<Adopted, 'notWritten' | 'lock'>,
  stores: boolean,
): Promise<readonly Pending[]> {
  const { adoptDocument, divert, inPlaceOf, patchDocument } = await import('./in-force.ts');
  const written = inPlaceOf(core.inForce.document, parsed, generation);
  let inForce = adoptDocument(core.inForce, written, generation, kind === 'apply');
  const rebased: Pending[] = [];
  const diverted: Pending[] = [];
  const withdrawn: Pending[] = [];
  for (const patch of core.pending) {
    const mark = { generation: ++core.highest, origin: patch.origin, command: patch.command };
    try {
      const patched = patchDocument(inForce, patch.operations, mark);
      inForce = patched.inForce;
      rebased.push({ ...patch, ...patched, generation: mark.generation, built: inForce.document });
    } catch (error) {
      if (patch.withdraws) {
        withdrawn.push(patch);
        continue;
      }
      core.log.warn(
        { err: error, origin: patch.origin },
        'a patch does not fit the edited document; it lasts until the boot ends',
      );
      inForce = divert(inForce, inForce.document, patch.fields(), mark.generation);
      diverted.push(patch);
    }
  }
  core.stand('DocumentRefused', core.path, null);
  setWritten(core, { text, endMark, written, signature });
  core.pending = rebased;
  const good = goodDocument(generation);
  show(core, inForce, core.highest, notWritten === undefined ? good : notWritable(good, notWritten), lock);
  core.log.info({ generation, origin }, 'a new document is in force');
  if (core.admission.keys !== null) await core.floor.raise(metadataOf(written.tree).serial ?? 0);
  const made = { generation, kind, origin, text, endMark, written, besides, signature, forced };
  if (stores) await storeGeneration(core, made);
  setUnsure(core, { document: null });
  await saveBoot(core);
  const why = 'it does not fit the edited document, and lasts until the boot ends';
  for (const patch of diverted) patch.done.resolve(core.unkept ?? why);
  return withdrawn;
}

/** Says of patches that they do not fit what somebody else has made of the document; nothing of them is left. */
export function refuse(core: Core, withdrawn: readonly Pending[]): void {
  for (const { generation, done } of withdrawn) {
    const reason = `the patch that was generation ${generation} does not fit the edit that came between`;
    done.reject(new DocumentConflict(core.highest, reason, generation));
  }
}
