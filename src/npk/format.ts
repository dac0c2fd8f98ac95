// Which format a package claims: the archive's comment.
import { parseVersion } from '../../state/version.ts';
import { PackageError } from './package-error.ts';
import { readTree, type Tree } from './manifest/syntax.ts';

/** The version of the format that we write. */
export const FORMAT_VERSION = '0.9.2';

const LONGEST_COMMENT = 4096;

/** `major.minor.patch` of the packer's format, or "old" for packages from before 0.9. Throws a PackageError. */
export async function formatOf(comment: Buffer): Promise<string> {
  if (comment.length === 0) return 'old';
  if (comment.length > LONGEST_COMMENT) throw refused('is too long');
  const fields = fieldsOf(await commentTree(comment));
  if (fields.version === undefined && fields.oldVersion !== undefined) return 'old';
  if (fields.version === undefined) throw refused('names no format version');
  const version = versionOf(fields.version);
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major === 0 && minor < 9) throw refused(`is of version ${version}: 0.9 and later are served`);
  return version;
}

async function commentTree(comment: Buffer): Promise<Tree> {
  try {
    return await readTree(comment.toString('utf8'));
  } catch (error) {
    if (!(error instanceof PackageError)) throw error;
    throw refused('cannot be read', { cause: error });
  }
}

function fieldsOf({ root }: Tree): { version: string | undefined; oldVersion: string | undefined } {
  const field = (name: string): string | undefined => {
    const value = root.kind === 'map' ? root.entries.get(name)?.value : undefined;
    return value?.kind === 'scalar' ? value.text : undefined;
  };
  return { version: field('version'), oldVersion: field('npk_version') };
}

function versionOf(text: string): string {
  try {
    return parseVersion(text);
  } catch (error) {
    throw refused('names no format version', { cause: error });
  }
}

function refused(message: string, options?: ErrorOptions): PackageError {
  return new PackageError('format-version', `the archive comment ${message}`, options);
}
