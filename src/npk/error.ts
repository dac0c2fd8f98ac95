/** What is wrong with a package, by the part that is at fault. */
export type PackageFault =
  'file' | 'archive' | 'entry' | 'format-version' | 'manifest' | 'signature' | 'verity' | 'image';

/** A file that is no package, or one that we refuse. The message names the file. */
export class PackageError extends Error {
  readonly reason: PackageFault;

  constructor(reason: PackageFault, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'PackageError';
    this.reason = reason;
  }
}
