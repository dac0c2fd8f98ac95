// The commands for build systems: their words and options.
import type { Command } from 'commander';
import { collect, example, imageOptions, wholeNumber } from './words.ts';

/** Adds cargo-npk. */
export function addBuildSystems(program: Command): void {
  const command = example(program.command('cargo-npk'), 'northstate cargo-npk pack --release').description(
    'build a Rust crate with cargo and pack it; installed as cargo-npk, it is also: cargo npk',
  );
  command
    .command('version')
    .description('print the version')
    .action(() => void process.stdout.write(`cargo-npk ${program.version() ?? ''}\n`));
  const pack = example(
    command.command('pack'),
    'cargo npk pack --target aarch64-unknown-linux-musl --release --out packages',
  )
    .description('build the crate and pack its program, by [package.metadata.npk] in Cargo.toml')
    .option('--manifest-path <file>', 'the Cargo.toml (default: of this directory, or of one above)')
    .option('-p, --package <name>', 'a crate of the workspace; may be repeated', collect)
    .option('--workspace', 'every crate of the workspace that has [package.metadata.npk]')
    .option('--bin <name>', 'the program, of a crate that has several')
    .option('--target <triple>', "what to build for (default: cargo's)")
    .option('-r, --release', 'with the profile release')
    .option('--profile <name>', 'with this profile')
    .option('-F, --features <list>', 'features of the crate; may be repeated', collect)
    .option('--all-features', 'all of them')
    .option('--no-default-features', 'without the default ones')
    .option('--target-dir <dir>', 'where cargo builds')
    .option('--jobs <number>', 'how many at a time', wholeNumber)
    .option('--locked', 'as Cargo.lock has it')
    .option('--offline', 'without the network')
    .option('--frozen', 'both')
    .option('-q, --quiet', 'cargo says nothing but errors')
    .option('--color <when>', "cargo's colours: auto, always or never")
    .option('-o, --out <path>', 'a directory, or the .npk file to write (default: beside the program)')
    .option('--json', 'tell packages, errors and warnings as JSON')
    .argument('[words...]', 'behind --: further words for cargo build');
  imageOptions(pack).action(async (words: readonly string[], options: import('./cargo-npk.ts').CargoCommand) =>
    (await import('./cargo-npk.ts')).cargoPack(words, options),
  );
}
