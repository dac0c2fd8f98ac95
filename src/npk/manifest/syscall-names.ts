// Whether the system calls that a manifest lets in exist: where a package is made, since a runtime skips what it does not know.
import { architectures, hasCall, isSyscall, ownArchitecture } from '../../../native/seccomp-filter.ts';
import type { ManifestIssue } from '../package-error.ts';
import type { ReadManifest } from './read-manifest.ts';
import { messageOf } from '../../../state/errno.ts';

export interface SyscallNames {
  /** Names that no architecture has. */
  readonly errors: readonly ManifestIssue[];
  /** Names that this one does not have, and what keeps them from being checked. */
  readonly warnings: readonly ManifestIssue[];
}

/** Looks up every name in `seccomp.allow`, with libseccomp's tables. */
export function checkSyscallNames({ manifest, issueAt }: ReadManifest): SyscallNames {
  const names = [...(manifest.seccomp?.allow?.keys() ?? [])];
  const at = (name: string, message: string): ManifestIssue => issueAt(['seccomp', 'allow', name], message);
  try {
    const known = names.filter(isSyscall);
    return {
      errors: names
        .filter((name) => !known.includes(name))
        .map((name) => at(name, 'no architecture has this system call')),
      warnings: known
        .filter((name) => !hasCall(name, ownArchitecture))
        .map((name) => {
          const others = architectures.filter((each) => hasCall(name, each));
          const where = others.length === 0 ? 'others have' : `${others.join(', ')} has`;
          return at(name, `${ownArchitecture} does not have this system call; ${where} it`);
        }),
    };
  } catch (error) {
    const reason = messageOf(error);
    const message = `names of system calls are not checked: ${reason} (apt-get install libseccomp2)`;
    return { errors: [], warnings: [issueAt(['seccomp', 'allow'], message)] };
  }
}
