/**
 * What is wrong with a package, by the part that is at fault. `hash`: comment or manifest is not the one that was signed;
 * `verity`: superblock, offset or hash tree do not fit the signature; `image`: the file system, or a block of its data.
 */
export type PackageFault =
  'file' | 'archive' | 'entry' | 'format-version' | 'manifest' | 'signature' | 'hash' | 'verity' | 'image';

/** A file that is no package, or one that we refuse. The message names the file. */
export class PackageError extends Error {
  readonly reason: PackageFault;

  constructor(reason: PackageFault, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'PackageError';
    this.reason = reason;
  }
}
