// northstate lint: what is wrong in a manifest, for editors and CI.
import { readFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { ManifestError, type ManifestIssue } from '../npk/package-error.ts';
import { readManifest } from '../npk/manifest/read-manifest.ts';
import { checkManifest } from '../npk/manifest/check-manifest.ts';
import { exitCodes } from './exit.ts';
import { printable, render, type Format } from './output.ts';

interface Lint {
  readonly errors: readonly ManifestIssue[];
  /** Forms of the older dialect. */
  readonly deprecations: readonly string[];
  readonly warnings: readonly ManifestIssue[];
}

export interface LintOptions {
  readonly output: Format;
  readonly allowUnknown?: boolean;
}

/** Prints every error and warning with its place, and the deprecations; ends with exit code 1 when there is an error. */
export async function lint(file: string, { output, allowUnknown = false }: LintOptions): Promise<void> {
  const found = await lintOf(file === '-' ? await buffer(process.stdin) : await readFile(file), allowUnknown);
  const isGood = found.errors.length === 0;
  if (output === 'table') process.stdout.write(lines(file, found));
  else process.stdout.write(await render(report(file, found), output));
  if (!isGood) process.exitCode = exitCodes.error;
}

async function lintOf(bytes: Buffer, allowUnknown: boolean): Promise<Lint> {
  try {
    const read = await readManifest(bytes, { old: false });
    return { ...checkManifest(read, { allowUnknown }), deprecations: read.deprecations };
  } catch (error) {
    if (error instanceof ManifestError) return { errors: error.issues, warnings: [], deprecations: [] };
    throw error;
  }
}

function report(file: string, { errors, warnings, deprecations }: Lint): object {
  const texts = warnings.map((issue) => `${placeOf(issue).slice(1)}: ${textOf(issue)}`);
  return { file, ok: errors.length === 0, errors, warnings: [...deprecations, ...texts] };
}

/** As compilers write them, so that editors find the place. */
function lines(file: string, { errors, warnings, deprecations }: Lint): string {
  const place = (kind: string) => (issue: ManifestIssue) => `${file}${placeOf(issue)}: ${kind}: ${textOf(issue)}`;
  return [
    ...errors.map(place('error')),
    ...warnings.map(place('warning')),
    ...deprecations.map((deprecation) => `${file}: warning: ${deprecation}`),
  ]
    .map((line) => `${printable(line)}\n`)
    .join('');
}

/** `:9:5`, or nothing. */
function placeOf({ line, column }: ManifestIssue): string {
  return line === null || column === null ? '' : `:${line}:${column}`;
}

function textOf({ field, message }: ManifestIssue): string {
  return field === '' ? message : `${field}: ${message}`;
}
