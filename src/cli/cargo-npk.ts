// cargo npk pack: Northstar's cargo subcommand, with its options.
import { mkdir } from 'node:fs/promises';
import { buildCrates } from '../build/cargo/pack-crates.ts';
import { exitCodes, Failure } from './exit.ts';
import { make, tell, type Made, type PackingOptions } from './packing.ts';

export interface CargoCommand extends PackingOptions {
  readonly manifestPath?: string;
  readonly package?: readonly string[];
  readonly workspace?: boolean;
  readonly bin?: string;
  readonly target?: string;
  readonly release?: boolean;
  readonly profile?: string;
  readonly features?: readonly string[];
  readonly allFeatures?: boolean;
  readonly defaultFeatures: boolean;
  readonly targetDir?: string;
  readonly jobs?: number;
  readonly locked?: boolean;
  readonly offline?: boolean;
  readonly frozen?: boolean;
  readonly quiet?: boolean;
  readonly color?: string;
  readonly out?: string;
}

/** Builds and packs, and tells the paths; `words` are for cargo build. */
export async function cargoPack(words: readonly string[], command: CargoCommand): Promise<void> {
  const { manifestPath, package: packages = [], workspace = false, bin, target, out, release, profile } = command;
  if (release === true && profile !== undefined)
    throw new Failure('--release and --profile exclude each other', { code: exitCodes.usage });
  await tell(command.json === true, async () => {
    const crates = await buildCrates({
      ...{ manifestPath, packages, workspace, bin, target },
      lock: lockWords(command),
      build: [...buildWords(command), ...words],
    });
    if (out?.endsWith('.npk') === true && crates.length > 1)
      throw new Failure(`${out} is one file, and there are ${crates.length} crates to pack`);
    if (out?.endsWith('.npk') === false) await mkdir(out, { recursive: true });
    const made: Made[] = [];
    for (const { directory, ...packing } of crates)
      made.push(await make({ ...packing, out: out ?? directory }, command));
    return made;
  });
}

function lockWords({ locked, offline, frozen }: CargoCommand): string[] {
  return Object.entries({ '--locked': locked, '--offline': offline, '--frozen': frozen })
    .filter(([, isSet]) => isSet === true)
    .map(([word]) => word);
}

function buildWords(command: CargoCommand): string[] {
  const { release, profile, features = [], allFeatures, defaultFeatures, targetDir, jobs, quiet, color } = command;
  return [
    ...(release === true ? ['--release'] : []),
    ...(profile === undefined ? [] : ['--profile', profile]),
    ...features.flatMap((list) => ['--features', list]),
    ...(allFeatures === true ? ['--all-features'] : []),
    ...(defaultFeatures ? [] : ['--no-default-features']),
    ...(targetDir === undefined ? [] : ['--target-dir', targetDir]),
    ...(jobs === undefined ? [] : ['--jobs', String(jobs)]),
    ...(quiet === true ? ['--quiet'] : []),
    ...(color === undefined ? [] : ['--color', color]),
  ];
}
