// The commands for build systems: their words and options.
import { join } from 'node:path';
import { Argument, InvalidArgumentError, type Command } from 'commander';
import { collect, example, imageOptions, timeout, wholeNumber } from './words.ts';

/** Adds cargo-npk, test and path. */
export function addBuildSystems(program: Command): void {
  addCargo(program);
  example(program.command('test'), 'northstate test hello-world-1.0.0.npk --timeout 10s -- --verbose')
    .description("run a package's container once, on a runtime of its own, and take its exit code")
    .argument('<file>', 'an NPK; its output is shown when its manifest says io: pipe')
    .argument('[args...]', "behind --: arguments instead of the manifest's")
    .option('--with <file>', 'a package that it needs, such as a resource; may be repeated', collect)
    .option('-e, --env <name=value>', "a variable beside the manifest's; may be repeated", variables)
    .option('-k, --key <file>', 'verify the packages with this public key first')
    .option('--expect <code>', 'the exit code that is right: then end with 0, and with any other with 1', wholeNumber)
    .addOption(timeout('1m', 'how long it may run'))
    .addHelpText(
      'after',
      '\nExit code: that of the container; 128 + N when signal N ended it; 124 time is over, 125 it cannot be run.',
    )
    .action(async (file: string, args: readonly string[], options: import('./container-test-command.ts').TestCommand) =>
      (await import('./container-test-command.ts')).test(file, args, options),
    );
  example(program.command('path'), 'northstate path cmake')
    .description('print where the files for a build system are')
    .addArgument(new Argument('<system>', 'which').choices(systems))
    .action((system: string) => {
      process.stdout.write(`${join(import.meta.dirname, '../build', system)}\n`);
    });
}

/** Those that need files of ours; what is installed has them beside the bundle, as they lie here beside cli/. */
const systems = ['cargo', 'cmake', 'make'];

function variables(text: string, before: Readonly<Record<string, string>> | undefined): Record<string, string> {
  const [, name, value] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
  if (name === undefined || value === undefined) throw new InvalidArgumentError('Expected NAME=VALUE.');
  return { ...before, [name]: value };
}

function addCargo(program: Command): void {
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
