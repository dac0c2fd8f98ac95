// The commands about package files and manifests: their words and options. They need no daemon.
import { InvalidArgumentError, Option, type Command } from 'commander';
import type { ConsoleOptions } from './console.ts';
import { example, format, wholeNumber, talks } from './words.ts';

const allowUnknown = 'fields that are not known are warnings';

/** Adds pack, unpack, inspect, verify, lint, seccomp and gen-key. */
export function addPackageFiles(program: Command): void {
  addPack(program);
  example(program.command('unpack'), 'northstate unpack hello-world-1.0.0.npk --out hello-world')
    .description('write the manifest, the signature and the files of a package into a directory')
    .argument('[file]', 'an NPK')
    .option('-n, --npk <file>', 'the same')
    .requiredOption('-o, --out <dir>', 'a directory that is empty or not there')
    .option('-k, --key <file>', 'verify everything first, with a public key; may be repeated', collect)
    .option('--unsquashfs <program>', 'what unpacks squashfs images', 'unsquashfs')
    .option('--fsck-erofs <program>', 'what unpacks erofs images', 'fsck.erofs')
    .option('--progress', 'show progress also where stderr is no terminal')
    .action(async (file: string | undefined, options: Parameters<typeof import('./package-files.ts').unpack>[1]) =>
      (await import('./package-files.ts')).unpack(file, options),
    );
  talks(example(program.command('inspect'), 'northstate inspect hello-world-1.0.0.npk'))
    .description('show what a package file is, or what the daemon knows of a container')
    .argument('<what>', 'a file (with a slash, or .npk at its end, or there), else name or name:version')
    .option('-s, --short', 'one line')
    .addOption(format())
    .action(async (file: string, options: import('./package-files.ts').InspectOptions & ConsoleOptions) =>
      (await import('./inspect-command.ts')).inspect(file, options),
    );
  example(program.command('verify'), 'northstate verify hello-world-1.0.0.npk --key integrator.pub')
    .description('check a package file from end to end: with a key its signature and every block, too')
    .argument('<file>', 'an NPK')
    .option('-k, --key <file>', 'a public key, raw or PEM, one of which must have signed it; may be repeated', collect)
    .option('--progress', 'show progress also where stderr is no terminal')
    .addOption(format())
    .action(async (file: string, options: import('./verify-command.ts').VerifyOptions) =>
      (await import('./verify-command.ts')).verify(file, options),
    );
  example(program.command('lint'), 'northstate lint manifest.yaml')
    .description('say everything that is wrong in a manifest, with line, column and field')
    .argument('<manifest>', 'a manifest in YAML, JSON or TOML; - is standard input')
    .option('--allow-unknown', allowUnknown)
    .addOption(format())
    .action(async (file: string, options: Parameters<typeof import('./lint.ts').lint>[1]) =>
      (await import('./lint.ts')).lint(file, options),
    );
  example(program.command('seccomp'), 'northstate seccomp hello-world-1.0.0.npk')
    .description('show which system calls a manifest or a package lets in, or make a profile of a trace')
    .argument('[file]', 'a manifest or an NPK; or the output of strace -f, which a profile is made of')
    .addOption(new Option('--arch <name>', 'of the processor').choices(['x86_64', 'aarch64']))
    .option('--from-strace <log>', 'print a seccomp section for what strace(1) has seen, whatever the file looks like')
    .option('--no-default-profile', 'of a trace: list every call, not only those beside the default profile')
    .addOption(format())
    .action(async (file: string | undefined, options: import('./seccomp-command.ts').SeccompOptions) =>
      (await import('./seccomp-command.ts')).seccomp(file, options),
    );
  example(program.command('gen-key'), 'northstate gen-key --name integrator --out /etc/northstate')
    .description('make a pair of keys to sign packages with: NAME.key and NAME.pub')
    .requiredOption('-n, --name <name>', 'what the files are called', fileName)
    .option('-o, --out <dir>', 'where they are made', '.')
    .action(async (options: Parameters<typeof import('./package-files.ts').generateKey>[0]) =>
      (await import('./package-files.ts')).generateKey(options),
    );
}

function addPack(program: Command): void {
  const compressions = ['none', 'gzip', 'lzo', 'xz', 'zstd', 'lz4'];
  example(
    program.command('pack'),
    'northstate pack --manifest manifest.yaml --root rootfs --key integrator.key --out .',
  )
    .description('make a package; the same input gives the same bytes (all times are SOURCE_DATE_EPOCH, else 0)')
    .option('-m, --manifest <file>', 'the manifest: YAML, JSON or TOML; required')
    .addOption(new Option('--manifest-path <file>', 'the same').hideHelp())
    .option('-r, --root <dir>', 'what the image holds (default: mount points only)')
    .option('-i, --image <file>', 'an image to take as it is, instead')
    .requiredOption('-o, --out <path>', 'the file to write, or a directory for NAME-VERSION.npk')
    .option('-k, --key <file>', 'sign with this secret key, raw or PEM')
    .addOption(new Option('--fs <type>', 'file system of the image (default: squashfs)').choices(['squashfs', 'erofs']))
    .addOption(
      new Option('-c, --compression <name>', 'of the image (default: gzip for squashfs, none for erofs)').choices(
        compressions,
      ),
    )
    .option('-b, --block-size <bytes>', 'of a squashfs image', wholeNumber)
    .option('--allow-unknown', allowUnknown)
    .option('--clones <number>', 'make so many packages, NAME-0 and so on, around one image', positive)
    .option('--salt <hex>', 'of dm-verity (default: derived from the image)')
    .option('--uuid <uuid>', 'of dm-verity and erofs (default: derived from image and manifest)')
    .option('--mksquashfs <program>', 'what makes squashfs images', 'mksquashfs')
    .option('--mkfs-erofs <program>', 'what makes erofs images', 'mkfs.erofs')
    .option('--progress', 'show progress also where stderr is no terminal')
    .action(async (options: import('./package-files.ts').PackCommand) =>
      (await import('./package-files.ts')).pack(options),
    );
}

function collect(text: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), text];
}

function positive(text: string): number {
  const value = wholeNumber(text);
  if (value === 0 || value > 100_000) throw new InvalidArgumentError('Expected a number from 1 to 100000.');
  return value;
}

function fileName(text: string): string {
  if (!/^[^/\0]+$/.test(text)) throw new InvalidArgumentError('Expected a file name without "/".');
  return text;
}
