// What cargo knows of the crates: `cargo metadata`, the settings of .cargo/config.toml that it does not tell, the host.
import { readFile, realpath } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { parse as parseToml } from 'smol-toml';
import { z } from 'zod';
import { outputOf } from '../run-program.ts';

/** Cargo says which one called us; the rest of a toolchain belongs to that. */
export const cargo = process.env['CARGO'] ?? 'cargo';

const metadataSchema = z.object({
  packages: z.array(
    z.object({
      id: z.string(),
      name: z.string(),
      version: z.string(),
      manifest_path: z.string(),
      default_run: z.string().nullish(),
      metadata: z.record(z.string(), z.unknown()).nullish(),
      targets: z.array(z.object({ name: z.string(), kind: z.array(z.string()) })),
    }),
  ),
  workspace_members: z.array(z.string()),
  /** Since cargo 1.71. */
  workspace_default_members: z.array(z.string()).optional(),
  target_directory: z.string(),
});

export interface Crate {
  readonly name: string;
  readonly version: string;
  readonly manifest_path: string;
  readonly directory: string;
  /** Names of its programs. */
  readonly programs: readonly string[];
  /** The one that `cargo run` would take. */
  readonly defaultProgram: string | null;
  /** [package.metadata.npk], unchecked; undefined = it has none. */
  readonly npk: unknown;
}

export interface Selection {
  readonly manifestPath?: string | undefined;
  /** Names, also as name@version. */
  readonly packages: readonly string[];
  readonly workspace: boolean;
  /** Options of cargo that also concern its metadata: --locked, --offline, --frozen. */
  readonly options: readonly string[];
}

export interface Workspace {
  /** Those to pack. */
  readonly crates: readonly Crate[];
  readonly targetDirectory: string;
}

/**
 * The crates to pack: those that are named, else that of the manifest, else (a workspace without a package, or --workspace)
 * all that have [package.metadata.npk]. Rejects with an Error that says what is missing where.
 */
export async function selectCrates({ manifestPath, packages, workspace, options }: Selection): Promise<Workspace> {
  const file = resolve(manifestPath ?? (await outputOf(cargo, ['locate-project', '--message-format', 'plain'])));
  const found = await outputOf(cargo, [
    ...['metadata', '--format-version', '1', '--no-deps', '--manifest-path', file],
    ...options,
  ]);
  const metadata = metadataSchema.parse(JSON.parse(found));
  const known = new Map(metadata.packages.map((each) => [each.id, crateOf(each)]));
  const members = (ids: readonly string[]): Crate[] =>
    ids.map((id) => known.get(id)).filter((crate) => crate !== undefined);
  const all = members(metadata.workspace_members);
  const targetDirectory = metadata.target_directory;
  if (packages.length > 0) return { crates: packages.map((name) => named(all, name, file)), targetDirectory };
  const path = await realpath(file);
  const own = await Promise.all(all.map(async (crate) => (await realpath(crate.manifest_path)) === path));
  const root = all.find((_, index) => own[index]);
  if (root !== undefined && !workspace) {
    if (root.npk === undefined) throw new Error(`${file}: package.metadata.npk: is missing: it names the manifest`);
    return { crates: [root], targetDirectory };
  }
  const defaults = workspace ? all : members(metadata.workspace_default_members ?? metadata.workspace_members);
  const crates = defaults.filter(({ npk }) => npk !== undefined);
  if (crates.length === 0) throw new Error(`${file}: no crate of this workspace has [package.metadata.npk]`);
  return { crates, targetDirectory };
}

function named(crates: readonly Crate[], wanted: string, file: string): Crate {
  const [name, version] = wanted.split(/[@:]/);
  const crate = crates.find((each) => each.name === name && (version === undefined || each.version === version));
  if (crate === undefined) throw new Error(`${file}: the workspace has no crate ${wanted}`);
  if (crate.npk === undefined) throw new Error(`${crate.manifest_path}: package.metadata.npk: is missing`);
  return crate;
}

function crateOf(found: z.output<typeof metadataSchema>['packages'][number]): Crate {
  const { name, version, manifest_path, targets, metadata, default_run: preferred } = found;
  const programs = targets.filter(({ kind }) => kind.includes('bin')).map((target) => target.name);
  return {
    ...{ name, version, manifest_path, programs },
    directory: dirname(manifest_path),
    defaultProgram: preferred ?? null,
    npk: metadata?.['npk'],
  };
}

export interface Target {
  /** The name of the target, as in [package.metadata.npk.target.NAME]. */
  readonly triple: string;
  /** What --target must say; null where cargo finds it by itself. */
  readonly option: string | null;
}

/** What cargo builds for: --target, else CARGO_BUILD_TARGET, else build.target of its configuration, else the host. */
export async function targetOf(option: string | undefined): Promise<Target> {
  if (option !== undefined) return { triple: basename(option, '.json'), option };
  const set = process.env['CARGO_BUILD_TARGET'] ?? (await configuredTarget());
  return { triple: set === null ? await hostTriple() : basename(set, '.json'), option: null };
}

/** https://doc.rust-lang.org/cargo/reference/config.html: from the working directory upwards, then cargo's own. */
async function configuredTarget(): Promise<string | null> {
  const places: string[] = [];
  for (let directory = process.cwd(); ; directory = dirname(directory)) {
    places.push(join(directory, '.cargo'));
    if (directory === dirname(directory)) break;
  }
  places.push(process.env['CARGO_HOME'] ?? join(homedir(), '.cargo'));
  const files = places.flatMap((place) => [join(place, 'config'), join(place, 'config.toml')]);
  const schema = z.object({
    build: z.object({ target: z.union([z.string(), z.array(z.string())]).optional() }).optional(),
  });
  for (const file of files) {
    const text = await readFile(file, 'utf8').catch(() => null);
    if (text === null) continue;
    const target = schema.parse(parseToml(text)).build?.target;
    if (typeof target === 'string') return target;
    if (target?.length === 1) return target[0] ?? null;
    if (target !== undefined) throw new Error(`${file}: build.target names several: say --target`);
  }
  return null;
}

async function hostTriple(): Promise<string> {
  const host = /^host: (\S+)$/m.exec(await outputOf(cargo, ['-vV']))?.[1];
  if (host === undefined) throw new Error(`${cargo} -vV names no host`);
  return host;
}
