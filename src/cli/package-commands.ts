// The commands about package files and manifests: their words and options. They need no daemon.
import { InvalidArgumentError, Option, type Command } from 'commander';
import type { ConsoleOptions } from './console.ts';
import type { Addition } from '../npk/image/root-directory.ts';
import { architecture, collect, example, format, imageOptions, talks } from './words.ts';

const allowUnknown = 'fields that are not known are warnings';

/** Adds pack, unpack, inspect, sign, verify, lint, seccomp and gen-key. */
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
  example(program.command('sign'), 'northstate sign desired.yaml --key integrator.key')
    .description('sign a document: into FILE.sig, or with --inside as a comment after its end mark')
    .argument('<document>', 'a document with a metadata.serial')
    .requiredOption('-k, --key <file>', 'the secret key, raw or PEM')
    .option('--inside', 'in the document itself: one file, which is exchanged in one step')
    .action(async (file: string, options: import('./sign-command.ts').SignOptions) =>
      (await import('./sign-command.ts')).sign(file, options),
    );
  example(program.command('verify'), 'northstate verify hello-world-1.0.0.npk --key integrator.pub')
    .description(
      'check a package file from end to end, or a document: with a key its signature, and every block of a package, too',
    )
    .argument('<file>', 'an NPK or a document')
    .option('-k, --key <file>', 'a public key, raw or PEM, one of which must have signed it; may be repeated', collect)
    .option('--signature <file>', 'what signs a document (default: FILE.sig where there is one)')
    .option('--progress', 'show progress also where stderr is no terminal')
    .addOption(format())
    .action(async (file: string, options: import('./verify-command.ts').VerifyOptions) =>
      (await import('./verify-command.ts')).verify(file, options),
    );
  example(program.command('delta'), 'northstate delta app-1.0.0.npk app-1.1.0.npk --out .')
    .description('make a delta file for devices that have one package and fetch another; to be served beside the other')
    .argument('<old>', 'the package that they have, signed')
    .argument('<new>', 'the package that they fetch, signed')
    .option('-o, --out <dir>', 'where it is made, under the name that devices ask for', '.')
    .option('--progress', 'show progress also where stderr is no terminal')
    .action(async (old: string, next: string, options: import('./delta-command.ts').DeltaOptions) =>
      (await import('./delta-command.ts')).delta(old, next, options),
    );
  example(program.command('lint'), 'northstate lint manifest.yaml')
    .description(
      'say everything that is wrong in a manifest, with line, column and field; with --root, what keeps it from starting',
    )
    .argument('<manifest>', 'a manifest in YAML, JSON or TOML; - is standard input')
    .option('-r, --root <dir>', 'what the image will hold: look whether the init can be started in it')
    .option('-a, --add <path=file>', 'what it will hold as well; may be repeated', addition)
    .option('--arch <name>', 'what the device is, any = do not look (default: as this machine)', architecture)
    .option('--allow-unknown', allowUnknown)
    .addOption(format())
    .action(async (file: string, options: import('./lint.ts').LintOptions) =>
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
  const command = example(
    program.command('pack'),
    'northstate pack --manifest manifest.yaml --root rootfs --key integrator.key --out .',
  )
    .description('make a package; the same input gives the same bytes (all times are SOURCE_DATE_EPOCH, else 0)')
    .argument('[folder]', 'without --manifest: that of an npm package, whose package.json has a key "northstate"')
    .option('-m, --manifest <file>', 'the manifest: YAML, JSON or TOML')
    .addOption(new Option('--manifest-path <file>', 'the same').hideHelp())
    .option('-r, --root <dir>', 'what the image holds (default: mount points only)')
    .option('-a, --add <path=file>', 'put a file or a directory into the image as well; may be repeated', addition)
    .option('-i, --image <file>', 'an image to take as it is, instead')
    .option('-o, --out <path>', 'the file to write, or a directory for NAME-VERSION.npk', '.')
    .option('--node <file>', 'the Node for the image, instead of the one that package.json names')
    .option('--salt <hex>', 'of dm-verity (default: derived from the name)')
    .option('--uuid <uuid>', 'of dm-verity and erofs (default: derived from image and manifest)')
    .option('--depfile <file>', 'write what the package was made of, as a rule for make and Ninja')
    .option('--allow-unknown', allowUnknown)
    .option('-j, --json', 'tell packages, errors and warnings as JSON');
  imageOptions(command).action(async (folder: string | undefined, options: import('./pack-command.ts').PackCommand) =>
    (await import('./pack-command.ts')).pack(folder, options),
  );
}

function addition(text: string, before: readonly Addition[] | undefined): Addition[] {
  const [, at, from] = /^(\/[^=]*)=(.+)$/s.exec(text) ?? [];
  if (at === undefined || from === undefined) throw new InvalidArgumentError('Expected /path/in/the/image=file.');
  return [...(before ?? []), { at, from }];
}

function fileName(text: string): string {
  if (!/^[^/\0]+$/.test(text)) throw new InvalidArgumentError('Expected a file name without "/".');
  return text;
}
