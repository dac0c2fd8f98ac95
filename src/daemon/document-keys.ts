// The keys that documents must be signed with, read each time that one is judged: files that change need no restart.
import { checkTrusted } from '../../state/file/trust.ts';
import type { Admission } from '../../state/document/admission.ts';
import type { Configuration } from '../config/configuration.ts';

/** Which documents count, as the configuration has it. */
export function admissionOf({
  documentKeys,
  compatible,
}: Pick<Configuration, 'documentKeys' | 'compatible'>): Admission {
  if (documentKeys.length === 0) return { keys: null, device: compatible };
  const keys: Admission['keys'] = async () => {
    const { readKeys } = await import('../npk/signature/keys.ts');
    const read = documentKeys.map(async (path) => {
      await checkTrusted(path);
      return await readKeys(path);
    });
    return (await Promise.all(read)).flat();
  };
  return { keys, device: compatible };
}
