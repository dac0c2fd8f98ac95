// northstate lint: what is wrong in a manifest, for editors and CI.
import { readFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { ManifestError, type ManifestIssue } from '../npk/error.ts';
import { readManifest, type ReadManifest } from '../npk/manifest.ts';
import { manifestYaml } from '../npk/manifest-yaml.ts';
import { exitCodes } from './exit.ts';
import { printable, render, type Format } from './output.ts';

interface Lint {
  readonly errors: readonly ManifestIssue[];
  /** Forms of the older dialect. */
  readonly warnings: readonly string[];
}

/** Prints every error with its place, and the deprecations; ends with exit code 1 when there is an error. */
export async function lint(file: string, { output }: { readonly output: Format }): Promise<void> {
  const found = await lintOf(file === '-' ? await buffer(process.stdin) : await readFile(file));
  const isGood = found.errors.length === 0;
  if (output === 'table') process.stdout.write(lines(file, found));
  else process.stdout.write(await render({ file, ok: isGood, ...found }, output));
  if (!isGood) process.exitCode = exitCodes.error;
}

async function lintOf(bytes: Buffer): Promise<Lint> {
  try {
    const read = await readManifest(bytes, { old: false });
    return { errors: unwritable(read), warnings: read.deprecations };
  } catch (error) {
    if (error instanceof ManifestError) return { errors: error.issues, warnings: [] };
    throw error;
  }
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

/** As compilers write them, so that editors find the place. */
function lines(file: string, { errors, warnings }: Lint): string {
  const found = errors.map(({ line, column, field, message }) => {
    const place = line === null || column === null ? '' : `:${line}:${column}`;
    return `${file}${place}: error: ${field === '' ? '' : `${field}: `}${message}`;
  });
  return [...found, ...warnings.map((warning) => `${file}: warning: ${warning}`)]
    .map((line) => `${printable(line)}\n`)
    .join('');
}
