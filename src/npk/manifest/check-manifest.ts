// What is looked at where a manifest is written or packed, beyond what every reader of a package refuses.
import { ManifestError, type ManifestIssue } from '../package-error.ts';
import { manifestYaml } from './manifest-yaml.ts';
import type { ReadManifest } from './read-manifest.ts';
import { checkSyscallNames } from './syscall-names.ts';

export interface Checked {
  /** What no package is made with. */
  readonly errors: readonly ManifestIssue[];
  readonly warnings: readonly ManifestIssue[];
}

/** `allowUnknown`: fields that are not known are warnings; Northstar passes over some. */
export function checkManifest(read: ReadManifest, { allowUnknown }: { readonly allowUnknown: boolean }): Checked {
  const { unknown, limits } = read.defects;
  const names = checkSyscallNames(read);
  return {
    errors: [...unwritable(read), ...(allowUnknown ? [] : unknown), ...limits, ...names.errors],
    warnings: [...(allowUnknown ? unknown : []), ...names.warnings],
  };
}

/** What can be read of the older dialect, but not be packed. */
function unwritable({ manifest, issueAt }: ReadManifest): ManifestIssue[] {
  try {
    manifestYaml(manifest);
    return [];
  } catch (error) {
    if (!(error instanceof ManifestError)) throw error;
    return error.issues.map(({ field, message }) => issueAt(field.split('.'), message));
  }
}
