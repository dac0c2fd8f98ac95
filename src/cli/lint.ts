// northstate lint: what is wrong in a manifest, for editors and CI.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import type { Manifest } from '../../state/schema/manifest.ts';
import { stageRoot, type Addition } from '../npk/image/root-directory.ts';
import { hostArchitecture, type Architecture } from '../npk/program/architecture.ts';
import { initProblems } from '../npk/program/init.ts';
import { ManifestError, type ManifestIssue } from '../npk/package-error.ts';
import { readManifest } from '../npk/manifest/read-manifest.ts';
import { checkManifest } from '../npk/manifest/check-manifest.ts';
import { exitCodes, Failure } from './exit.ts';
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
  /** The directory that becomes the image: left out = nothing is said about programs. */
  readonly root?: string;
  readonly add?: readonly Addition[];
  /** Left out = what this machine is. */
  readonly arch?: Architecture | 'any';
}

/** Prints every error and warning with its place, and the deprecations; ends with exit code 1 when there is an error. */
export async function lint(file: string, { output, ...options }: LintOptions): Promise<void> {
  const found = await lintOf(file, options);
  const isGood = found.errors.length === 0;
  if (output === 'table') process.stdout.write(lines(file, found));
  else process.stdout.write(await render(report(file, found), output));
  if (!isGood) process.exitCode = exitCodes.error;
}

async function lintOf(
  file: string,
  { allowUnknown = false, root, add = [], arch }: Omit<LintOptions, 'output'>,
): Promise<Lint> {
  try {
    const content = await contentOf(file);
    if (/^apiVersion:\s*northstate\//m.test(content.toString()))
      throw new Failure(`${file} is a document, and no manifest`, {
        hint: 'a northstate that runs says what is wrong in it: northstate apply --dry-run -f FILE',
      });
    const read = await readManifest(content, { old: false });
    const { errors, warnings } = checkManifest(read, { allowUnknown });
    const architecture = arch === 'any' ? null : (arch ?? hostArchitecture);
    const problems = await problemsIn({ root: root ?? null, additions: add }, read.manifest, architecture);
    return {
      errors,
      warnings: [...warnings, ...problems.map((problem) => read.issueAt(['init'], problem))],
      deprecations: read.deprecations,
    };
  } catch (error) {
    if (error instanceof ManifestError) return { errors: error.issues, warnings: [], deprecations: [] };
    throw error;
  }
}

/** What keeps the init from being started; nothing when it is not said what the image will hold. */
async function problemsIn(
  { root, additions }: { readonly root: string | null; readonly additions: readonly Addition[] },
  manifest: Manifest,
  architecture: Architecture | null,
): Promise<string[]> {
  if (additions.length === 0) return root === null ? [] : initProblems(manifest, { root, architecture });
  const work = await mkdtemp(join(tmpdir(), 'northstate-lint-'));
  try {
    const staged = join(work, 'root');
    await stageRoot(staged, root, additions);
    return await initProblems(manifest, { root: staged, source: root, architecture });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function contentOf(file: string): Promise<Buffer> {
  try {
    return file === '-' ? await buffer(process.stdin) : await readFile(file);
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    throw new ManifestError('manifest', [{ line: null, column: null, field: '', message: `cannot be read: ${code}` }]);
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
