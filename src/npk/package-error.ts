import { messageOf } from '../../state/errno.ts';

/**
 * What is wrong with a package, by the part that is at fault. `hash`: comment or manifest is not the one that was signed;
 * `verity`: superblock, offset or hash tree do not fit the signature; `image`: the file system, or a block of its data;
 * `path`: it names something outside of where it may reach.
 */
export type PackageFault =
  'file' | 'archive' | 'entry' | 'format-version' | 'manifest' | 'path' | 'signature' | 'hash' | 'verity' | 'image';

/** A file that is no package, or one that we refuse. The message names the file. */
export class PackageError extends Error {
  readonly reason: PackageFault;

  constructor(reason: PackageFault, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'PackageError';
    this.reason = reason;
  }
}

/** The error with the file's name in front. */
export function named(path: string, error: unknown): PackageError {
  const reason = error instanceof PackageError ? error.reason : 'file';
  return new PackageError(reason, `${path}: ${messageOf(error)}`, {
    cause: error,
  });
}

/** One thing that is wrong in a manifest. */
export interface ManifestIssue {
  /** From 1; null where no place can be told. */
  readonly line: number | null;
  readonly column: number | null;
  /** The path of the field, as in `mounts./data.type`; empty for the manifest as a whole. */
  readonly field: string;
  readonly message: string;
}

/** A manifest that is refused. The message tells the first issue. */
export class ManifestError extends PackageError {
  readonly issues: readonly [ManifestIssue, ...ManifestIssue[]];

  constructor(
    reason: 'manifest' | 'path',
    issues: readonly [ManifestIssue, ...ManifestIssue[]],
    options?: ErrorOptions,
  ) {
    const [{ line, column, field, message }] = issues;
    const place = line === null || column === null ? '' : `:${line}:${column}`;
    super(reason, `manifest.yaml${place}: ${field === '' ? '' : `${field}: `}${message}`, options);
    this.name = 'ManifestError';
    this.issues = issues;
  }

  /** The same refusal with each issue changed. */
  withIssues(change: (issue: ManifestIssue) => ManifestIssue): ManifestError {
    const [first, ...more] = this.issues;
    const reason = this.reason === 'path' ? 'path' : 'manifest';
    return new ManifestError(reason, [change(first), ...more.map(change)], { cause: this });
  }
}
