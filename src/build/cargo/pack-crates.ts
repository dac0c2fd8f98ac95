// cargo npk pack: builds the program of each crate that is asked for, and says what to pack of it: the program as the
// manifest's init, in the root directory that the crate's metadata names.
import { basename, dirname } from 'node:path';
import { readManifestSource } from '../../npk/manifest/manifest-source.ts';
import type { PackOptions } from '../../npk/pack.ts';
import { architectureNamed } from '../../npk/program/architecture.ts';
import { buildProgram } from './cargo-build.ts';
import { selectCrates, targetOf, type Crate, type Selection } from './cargo-metadata.ts';
import { crateSettings, type CrateSettings } from './crate-settings.ts';

export interface CratesOptions extends Omit<Selection, 'options'> {
  readonly bin?: string | undefined;
  readonly target?: string | undefined;
  /** For both cargo metadata and cargo build. */
  readonly lock: readonly string[];
  /** For cargo build. */
  readonly build: readonly string[];
}

export interface CratePacking extends Pick<PackOptions, 'manifest' | 'part' | 'root' | 'additions' | 'architecture'> {
  /** Where cargo puts the program, and a package unless another place is asked for. */
  readonly directory: string;
}

/** Builds, crate after crate. Rejects at the first thing that is wrong, and then packs nothing. */
export async function buildCrates({
  bin,
  target: wanted,
  lock,
  build,
  ...selection
}: CratesOptions): Promise<CratePacking[]> {
  const { crates, targetDirectory } = await selectCrates({ ...selection, options: lock });
  const target = await targetOf(wanted);
  const words = [...lock, ...(target.option === null ? [] : ['--target', target.option]), ...build];
  const packings: CratePacking[] = [];
  for (const crate of crates) {
    const { program, settings, init } = await programOf(crate, target.triple, bin);
    const { useCross, root, manifest } = settings;
    const from = await buildProgram(crate, { program, options: words, useCross, targetDirectory });
    packings.push({
      ...manifest,
      root,
      additions: [{ at: init, from }],
      architecture: architectureNamed(target.triple),
      directory: dirname(from),
    });
  }
  return packings;
}

interface ProgramToPack {
  readonly program: string;
  readonly settings: CrateSettings;
  /** Its path in the container. */
  readonly init: string;
}

/** Of several programs that which is asked for, which the manifest's init is called after, or which `cargo run` takes. */
async function programOf(crate: Crate, triple: string, bin: string | undefined): Promise<ProgramToPack> {
  const { name, programs, manifest_path: file } = crate;
  const [only, ...others] = programs;
  if (only === undefined) throw new Error(`${file}: the crate ${name} has no program`);
  if (bin !== undefined && !programs.includes(bin))
    throw new Error(`${file}: the crate ${name} has no program ${bin}, only: ${programs.join(', ')}`);
  const first = bin ?? crate.defaultProgram ?? (programs.includes(name) ? name : only);
  const settings = crateSettings(crate, triple, first);
  const init = await initOf(settings);
  const program = bin ?? programs.find((each) => each === basename(init)) ?? crate.defaultProgram ?? only;
  if (bin === undefined && others.length > 0 && program !== basename(init) && program !== crate.defaultProgram)
    throw new Error(`${file}: the crate ${name} has several programs: say --bin and one of ${programs.join(', ')}`);
  return { program, settings, init };
}

async function initOf({ manifest: source }: CrateSettings): Promise<string> {
  const { manifest } = await readManifestSource(source);
  if (manifest.init === undefined)
    throw new Error(`${source.manifest}: the manifest names no init, which is where the program goes`);
  return manifest.init;
}
