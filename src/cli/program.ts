// Every command of northstate: its words, options, help and example. What a command does is loaded when it is called.
import { Argument, Command, Option } from 'commander';
import { defaultConsole } from '../console/protocol/address.ts';
import type { ConsoleOptions, PatchOptions } from './console.ts';
import { addTrial } from './trial-commands.ts';
import { addDeclarative, addGlobalOptions, addNorthstar } from './console-commands.ts';
import { addBuildSystems } from './build-commands.ts';
import { addInside } from './inside-commands.ts';
import { addPackageFiles } from './package-commands.ts';
import { duration, example, format, patches, statusFormat, talks, timeout, wholeNumber } from './words.ts';
import { runtimeVersion } from '../runtime-version.ts';

const outcome = `
Exit codes:
  0  done; with --wait: what was changed is ready, or has ended with 0
  1  error
  2  wrong usage
  3  the document failed for good
  4  time is over
  5  no daemon listens at the console
  6  the document does not count here: its signature, serial, device or runtime; or one must be signed
  7  a look ahead stands against the document

The console is --console URL, else NORTHSTATE_CONSOLE, else ${defaultConsole}.`;

/** The program with all its commands; a usage error throws a CommanderError. */
export function createProgram(): Command {
  const program = new Command('northstate')
    .description('Runs containers on embedded Linux from a declared state.')
    .version(runtimeVersion)
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      outputError: (text, write) =>
        write(
          `northstate: ${text
            .replace(/^error: /, '')
            .trim()
            .replaceAll('\n', ' ')}\n`,
        ),
    })
    .showHelpAfterError(false)
    .addHelpText('after', outcome);
  addDaemon(program);
  addDocument(program);
  addStatus(program);
  addContainers(program);
  addInside(program);
  addPackages(program);
  addNorthstar(program);
  addDeclarative(program);
  addTrial(program);
  addPackageFiles(program);
  addBuildSystems(program);
  group(program);
  addGlobalOptions(program);
  return program;
}

/** Where each command stands in --help; what is in no group stands under Northstar's words. */
const groups: Readonly<Record<string, readonly string[]>> = {
  'The daemon:': ['run', 'config', 'check', 'reexec', 'shutdown', 'report', 'metrics'],
  'The document:': ['apply', 'plan', 'diff', 'edit', 'patch', 'history', 'rollback', 'overlay', 'wait', 'schema'],
  'Documents on trial:': ['trial', 'confirm', 'revert', 'quarantine'],
  'What is there:': ['get', 'describe', 'explain', 'logs', 'events', 'list', 'repositories', 'inspect'],
  'Inside of containers:': ['exec', 'shell', 'cp', 'top'],
  'Containers:': [
    'start',
    'run-once',
    'stop',
    'restart',
    'kill',
    'pause',
    'resume',
    'update',
    'lock',
    'unlock',
    'mount',
    'umount',
  ],
  'Packages:': [
    'install',
    'uninstall',
    'pack',
    'unpack',
    'sign',
    'verify',
    'delta',
    'lint',
    'test',
    'seccomp',
    'gen-key',
  ],
};

function group(program: Command): void {
  for (const command of program.commands) {
    const [heading = 'Others:'] = Object.entries(groups).find(([, names]) => names.includes(command.name())) ?? [];
    command.helpGroup(heading);
  }
}

function addDaemon(program: Command): void {
  example(program.command('run'), 'northstate run --config /etc/northstate/config.yaml')
    .description(
      'run the daemon in the foreground; SIGTERM and SIGINT stop every container in order, then the daemon, SIGHUP has all but the settings read anew (on a terminal it stops, too)',
    )
    .option('-c, --config <file>', 'configuration, also a northstar.toml (default: /etc/northstate/config.yaml)')
    .option('--desired <file>', 'the document, instead of the one that the configuration names')
    .option('--state-dir <dir>', 'where generations are kept, instead of the one that the configuration names')
    .action(async (options: { config?: string; desired?: string; stateDir?: string }) => {
      const { run } = await import('./run-command.ts');
      run(options);
    });
  example(program.command('reset'), 'northstate reset --all')
    .description(
      'remove what containers keep, or with it the document and its generations; the runtime must be stopped',
    )
    .option('-c, --config <file>', 'configuration (default: /etc/northstate/config.yaml)')
    .option('--data', 'what containers keep')
    .option('--all', 'that, the document and its history: the seed becomes the document again')
    .action(async (options: Parameters<typeof import('./reset.ts').reset>[0]) =>
      (await import('./reset.ts')).reset(options),
    );
  example(program.command('config'), 'northstate config --config northstar.toml')
    .description('print the configuration that is in force, defaults included')
    .option('-c, --config <file>', 'configuration, also a northstar.toml (default: /etc/northstate/config.yaml)')
    .addOption(format(['yaml', 'json']))
    .action(async (options: Parameters<typeof import('./config.ts').config>[0]) =>
      (await import('./config.ts')).config(options),
    );
  example(program.command('check'), 'northstate check -o json')
    .description(
      'say what this host offers and lacks, and what to enable; kconfig: the options of the kernel that are used',
    )
    .addOption(format(['table', 'json', 'yaml', 'kconfig']))
    .action(async (options: Parameters<typeof import('./check.ts').check>[0]) =>
      (await import('./check.ts')).check(options),
    );
  talks(example(program.command('reexec'), 'northstate reexec --to /opt/northstate-0.2.0'))
    .description(
      'have another runtime take over while containers run: it proves itself first, and nothing changes when it does not (exit code 3)',
    )
    .option('--to <dir>', 'the directory of its installation (default: the one of this runtime, as it is now)')
    .addOption(timeout('1m', 'how long it has to prove itself'))
    .action(async (options: import('./reexec-command.ts').ReexecOptions) =>
      (await import('./reexec-command.ts')).reexec(options),
    );
  talks(example(program.command('shutdown'), 'northstate shutdown'))
    .description('stop every container in order, then the daemon')
    .action(async (options: ConsoleOptions) => (await import('./control.ts')).shutdown(options));
}

function addDocument(program: Command): void {
  talks(example(program.command('apply'), 'northstate apply -f desired.yaml --wait --timeout 30s'))
    .description('make a document the one in force')
    .requiredOption('-f, --file <file>', 'the document, - is standard input')
    .option('--wait', 'until it is reached, has failed for good, or the time is over')
    .addOption(timeout('5m', 'how long --wait waits'))
    .option('--expect <generation>', 'refuse unless this generation is in force', wholeNumber)
    .option('--signature <file>', 'what signs it (default: FILE.sig where there is one)')
    .option('--dry-run', 'check it, and print the steps that it would take and what would keep it from being reached')
    .option('--strict', 'refuse it for what a look ahead finds, also without a trial')
    .option('--force', 'whatever a look ahead finds, and locks and gates hold up; the history says so')
    .option('--prune', 'it may stop more than half of what runs')
    .action(async (options: import('./apply.ts').ApplyOptions) => (await import('./apply.ts')).apply(options));
  talks(example(program.command('plan'), 'northstate plan -f desired.yaml'))
    .description('show the ordered steps that a document would take, without doing them')
    .option('-f, --file <file>', 'the document, - is standard input (default: the one in force)')
    .option('--revert', 'what taking the document on trial back would do')
    .addOption(format())
    .action(async (options: import('./apply.ts').PlanOptions) => (await import('./apply.ts')).plan(options));
  talks(example(program.command('history'), 'northstate history 7'))
    .description('show the stored generations of the document; or one, and how it differs from the one before')
    .argument('[generation]', 'a number that the list shows', wholeNumber)
    .addOption(format())
    .action(async (generation: number | undefined, options: Parameters<typeof import('./history.ts').history>[1]) =>
      (await import('./history.ts')).history(generation, options),
    );
  talks(example(program.command('diff'), 'northstate diff -f desired.yaml'))
    .description('show how a document differs from the one in force; exit code 1 when it does')
    .requiredOption('-f, --file <file>', 'the document, - is standard input')
    .action(async (options: ConsoleOptions & { file: string }) => (await import('./document.ts')).diff(options));
  talks(example(program.command('edit'), 'northstate edit'))
    .description('open the document in force in $VISUAL or $EDITOR, check what it leaves, and apply it')
    .action(async (options: ConsoleOptions) => (await import('./edit.ts')).edit(options));
  example(program.command('schema'), 'northstate schema > northstate.schema.json')
    .description("print the JSON Schema of the document, manifests, config.yaml, or a client's messages to the console")
    .addArgument(
      new Argument('[of]', 'what it describes')
        .choices(['document', 'manifest', 'configuration', 'config', 'console'])
        .default('document'),
    )
    .action(async (of: import('./schema.ts').Described) => (await import('./schema.ts')).schema(of));
}

function addStatus(program: Command): void {
  talks(example(program.command('get'), 'northstate get broker -o wide'))
    .description('show what runs and whether it is what the document says')
    .argument('[names...]', 'containers (default: all)')
    .addOption(statusFormat())
    .option('-w, --watch', 'again at every change; waits for a daemon that is not there yet')
    .addOption(timeout('30s', 'how long --watch waits for the daemon'))
    .action(async (names: string[], options: import('./get.ts').GetOptions) =>
      (await import('./get.ts')).get(names, options),
    );
  talks(example(program.command('describe'), 'northstate describe broker'))
    .description('show what explains one container: conditions, last exit, what it waits for')
    .argument('<names...>', 'containers')
    .addOption(format())
    .action(async (names: string[], options: Parameters<typeof import('./describe.ts').describe>[1]) =>
      (await import('./describe.ts')).describe(names, options),
    );
  talks(example(program.command('logs'), 'northstate logs broker -f --since 10m'))
    .description("show containers' output")
    .argument('<names...>', 'containers')
    .option('-f, --follow', 'go on with what comes')
    .option('--since <time>', 'a duration such as 10m, or a time such as 2026-01-31T12:00:00Z')
    .option('-n, --lines <number>', 'the last so many of those that are kept', wholeNumber)
    .option('-p, --previous', 'of the run before the last one')
    .option('-t, --timestamps', 'begin each line with its time')
    .option('--boot <id>', 'fail unless this is the boot: output is kept until it ends')
    .action(async (names: string[], options: import('./logs.ts').LogsOptions) =>
      (await import('./logs.ts')).logs(names, options),
    );
}

function addContainers(program: Command): void {
  patches(example(program.command('start'), 'northstate start hello-world LEVEL=debug'))
    .description('start a container')
    .argument('<name>', 'name or name:version')
    .argument('[words...]', '[KEY=VALUE...] [init [argument...]] for this run, instead of what the manifest says')
    .passThroughOptions()
    .action(async (name: string, words: string[], options: PatchOptions) =>
      (await import('./control.ts')).start(name, words, options),
    );
  patches(example(program.command('kill'), 'northstate kill hello-world TERM'))
    .description('send a signal; TERM and KILL also keep it from starting again')
    .argument('<names...>', 'NAME... [SIGNAL]: name or name:version; a number from 1 to 31, or a name (default: TERM)')
    .action(async (words: string[], options: PatchOptions) => (await import('./control.ts')).kill(words, options));
  for (const [what, text] of [
    ['stop', 'stop a container as its entry says: signal, grace period, KILL'],
    ['pause', 'freeze a container where it is: nothing of it runs until it is resumed, also after a start'],
    ['resume', 'let a paused container go on'],
    ['restart', 'stop a container and start it again'],
    ['update', 'take the highest installed version that the document allows'],
  ] as const) {
    patches(example(program.command(what), `northstate ${what} broker`))
      .description(text)
      .argument('<names...>', 'containers')
      .addOption(timeout('1m', 'how long to wait until it is done'))
      .action(async (names: string[], options: PatchOptions & { timeout: number }) =>
        (await import('./control.ts')).order(what, names, options),
      );
  }
  talks(example(program.command('lock'), 'northstate lock broker --ttl 5m'))
    .description('hold up the replacement of what runs, as an application does over its own console')
    .argument('<name>', 'a container whose entry has a lock')
    .addOption(new Option('--ttl <duration>', 'for how long at most').argParser(duration).default(60_000, '1m'))
    .action(async (name: string, options: ConsoleOptions & { ttl: number }) =>
      (await import('./control.ts')).lock(name, options),
    );
  talks(example(program.command('unlock'), 'northstate unlock broker'))
    .description('let it be replaced again')
    .argument('<name>', 'a container')
    .action(async (name: string, options: ConsoleOptions) => (await import('./control.ts')).unlock(name, options));
  for (const what of ['mount', 'umount'] as const) {
    patches(example(program.command(what), `northstate ${what} shared-data:1.0.0`))
      .description(`${what} the images of containers`)
      .argument('<names...>', 'name or name:version')
      .action(async (names: string[], options: PatchOptions) =>
        (await import('./control.ts')).mountOrUmount(what, names, options),
      );
  }
}

function addPackages(program: Command): void {
  patches(example(program.command('install'), 'northstate install hello-world-1.0.0.npk system'))
    .description('install a package')
    .argument('<package>', 'an NPK, or its address on a server (https://…), from which the device fetches it')
    .argument('[repository]', 'a repository of the daemon; an address needs none')
    .option('-n, --dry-run', 'of an address: only say what it is, and how many bytes would be fetched')
    .addOption(timeout('10m', 'how long to wait for what is fetched'))
    .action(
      async (what: string, repository: string | undefined, options: import('./install-command.ts').InstallOptions) =>
        (await import('./install-command.ts')).install(what, repository ?? null, options),
    );
  patches(example(program.command('uninstall'), 'northstate uninstall hello-world:1.0.0 --wipe'))
    .description('delete a package')
    .argument('<names...>', 'name or name:version')
    .option('-w, --wipe', 'delete its persistent data, too, unless another version of the name is there')
    .action(async (names: string[], options: PatchOptions & { wipe?: boolean }) =>
      (await import('./control.ts')).uninstall(names, options),
    );
}
