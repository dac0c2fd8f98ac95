// A manifest where it is written by hand: a file of its own, or a part of the file of a build system.
import { readFile } from 'node:fs/promises';
import { ManifestError, PackageError, type ManifestIssue } from '../package-error.ts';
import { readManifest, type ReadManifest } from './read-manifest.ts';
import { checkManifest } from './check-manifest.ts';

export interface ManifestSource {
  /** The manifest's file: YAML, JSON or TOML. */
  readonly manifest: string;
  /** For one that is a part of that file, under this field: its text. Errors then name the field, and no line. */
  readonly part?: { readonly field: string; readonly text: string } | undefined;
  /** Fields of the manifest that are not known are warnings; left out = they are errors. */
  readonly allowUnknown?: boolean | undefined;
}

export interface CheckedManifest extends ReadManifest {
  /** What is no reason to refuse it. */
  readonly warnings: readonly ManifestIssue[];
}

/** Reads and checks a manifest for packing. Rejects with a PackageError that names the file, and with its ManifestError as cause. */
export async function readManifestSource({
  manifest: path,
  part,
  allowUnknown = false,
}: ManifestSource): Promise<CheckedManifest> {
  const bytes = part === undefined ? await readFile(path) : Buffer.from(part.text);
  const placed = (issue: ManifestIssue): ManifestIssue => (part === undefined ? issue : within(part.field, issue));
  try {
    const read = await readManifest(bytes, { old: false });
    const { errors, warnings } = checkManifest(read, { allowUnknown });
    const [first, ...more] = errors;
    if (first !== undefined) throw new ManifestError('manifest', [first, ...more]);
    return { ...read, issueAt: (...at) => placed(read.issueAt(...at)), warnings: warnings.map(placed) };
  } catch (error) {
    if (!(error instanceof PackageError)) throw error;
    const cause = error instanceof ManifestError ? error.withIssues(placed) : error;
    throw new PackageError(cause.reason, cause.message.replace(/^manifest\.yaml/, path), { cause });
  }
}

/** An issue of a manifest that is a part of another file. */
function within(field: string, issue: ManifestIssue): ManifestIssue {
  return { ...issue, line: null, column: null, field: issue.field === '' ? field : `${field}.${issue.field}` };
}
