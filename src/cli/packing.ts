// What every command that packs shares: how the image is made, and how the outcome is told, to people or as JSON.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import type { Architecture } from '../npk/program/architecture.ts';
import { ManifestError, type ManifestIssue } from '../npk/package-error.ts';
import { pack, packClones, type Packed, type PackOptions } from '../npk/pack.ts';
import { asFailure, exitCodes } from './exit.ts';
import { printable } from './output.ts';
import { createProgress } from './progress.ts';

/** The options of imageOptions() in words.ts. */
export interface PackingOptions extends Pick<PackOptions, 'key' | 'fs' | 'compression' | 'blockSize' | 'aligned'> {
  readonly clones?: number;
  readonly mksquashfs?: string;
  readonly mkfsErofs?: string;
  readonly arch?: Architecture | 'any';
  readonly progress?: boolean;
  readonly json?: boolean;
}

/** A package or its clones, with the file that their manifest stands in. */
export interface Made {
  readonly manifest: string;
  readonly packages: readonly Packed[];
}

/** What is packed: everything of PackOptions that the image's options do not say. */
export type Packing = Omit<PackOptions, 'tool' | 'onProgress' | 'key' | 'fs' | 'compression' | 'blockSize' | 'aligned'>;

/** Packs once, or as many clones as were asked for, and shows how far it is. */
export async function make(packing: Packing, command: PackingOptions): Promise<Made> {
  const { clones, mksquashfs, mkfsErofs, arch, key, fs, compression, blockSize, aligned } = command;
  const progress = createProgress(command.progress === true);
  const options = {
    ...packing,
    ...(arch !== undefined && { architecture: arch === 'any' ? null : arch }),
    ...{
      key,
      fs,
      compression,
      blockSize,
      aligned,
      tool: fs === 'erofs' ? mkfsErofs : mksquashfs,
      onProgress: progress.show,
    },
  };
  try {
    const packages = clones === undefined ? [await pack(options)] : await packClones(options, clones);
    return { manifest: packing.manifest, packages };
  } finally {
    progress.end();
  }
}

/**
 * Tells what was packed: paths on stdout and warnings on stderr; or one JSON object on stdout, which also has what went
 * wrong (exit code 1).
 */
export async function tell(isJson: boolean, packing: () => Promise<readonly Made[]>): Promise<void> {
  if (!isJson) {
    for (const made of await packing()) tellPeople(made);
    return;
  }
  try {
    const made = await packing();
    const packages = await Promise.all(made.flatMap(({ packages: each }) => each).map(described));
    const warnings = made.flatMap(warningsOf);
    write({ ok: true, packages, errors: [], warnings });
  } catch (error) {
    write({ ok: false, packages: [], errors: issuesOf(error), warnings: [] });
    process.exitCode = exitCodes.error;
  }
}

function tellPeople(made: Made): void {
  for (const { file, line, column, field, message } of warningsOf(made)) {
    const place = line === null || column === null ? file : `${file}:${line}:${column}`;
    process.stderr.write(
      `northstate: ${place}: warning: ${printable(field === '' ? message : `${field}: ${message}`)}\n`,
    );
  }
  process.stdout.write(made.packages.map(({ path }) => `${path}\n`).join(''));
}

/** The same for all clones. */
function warningsOf({ manifest, packages: [first] }: Made): (ManifestIssue & { readonly file: string })[] {
  const nowhere = { file: manifest, line: null, column: null, field: '' };
  return [
    ...(first?.deprecations ?? []).map((message) => ({ ...nowhere, message })),
    ...(first?.warnings ?? []).map((issue) => ({ file: manifest, ...issue })),
  ];
}

/** With the digest that a document may ask for. */
async function described({ path, name, version }: Packed): Promise<object> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return { path, name, version, digest: `sha256:${hash.digest('hex')}` };
}

function issuesOf(error: unknown): readonly ManifestIssue[] {
  const cause = error instanceof Error && error.cause instanceof ManifestError ? error.cause : error;
  if (cause instanceof ManifestError) return cause.issues;
  return [{ line: null, column: null, field: '', message: asFailure(error).message }];
}

function write(report: object): void {
  process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
}
