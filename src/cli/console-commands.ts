// The words of the commands that only ask the console, or speak of the document as a whole.
import { Option, type Command } from 'commander';
import type { ConsoleOptions } from './console.ts';
import { completer, shells, type Shell } from './completion.ts';
import { duration, example, format, patches, talks, timeout, wholeNumber } from './words.ts';

/** Adds what Northstar's nstar has, under its names: list, repositories, ident, notifications, token, verify-token, completion. */
export function addNorthstar(program: Command): void {
  const load = () => import('./nstar-commands.ts');
  talks(example(program.command('list').alias('ls'), 'northstate list'))
    .description('name the installed packages; on a terminal with what they do')
    .addOption(format())
    .action(async (options: Parameters<Awaited<ReturnType<typeof load>>['list']>[0]) => (await load()).list(options));
  talks(example(program.command('repositories').alias('repos'), 'northstate repositories'))
    .description('name the repositories')
    .action(async (options: ConsoleOptions) => (await load()).repositories(options));
  talks(example(program.command('ident'), 'northstate ident'))
    .description('say what the console calls this client')
    .action(async (options: ConsoleOptions) => (await load()).ident(options));
  talks(example(program.command('notifications'), 'northstate notifications -n 10'))
    .description('print what happens to containers, a JSON object a line')
    .option('-n, --number <n>', 'end after so many', wholeNumber)
    .action(async (options: ConsoleOptions & { number?: number }) => (await load()).notifications(options));
  talks(example(program.command('token'), 'northstate token broker "what both know"'))
    .description('make a token that tells a container who this client is')
    .argument('<target>', 'the name of the container that will verify it')
    .argument('<shared>', 'a text that both know')
    .action(async (target: string, shared: string, options: ConsoleOptions) =>
      (await load()).token(target, shared, options),
    );
  talks(example(program.command('verify-token'), 'northstate verify-token TOKEN broker "what both know"'))
    .description('judge a token that was made for this client')
    .argument('<token>', 'as `token` printed it')
    .argument('<user>', 'the name of the one who showed it')
    .argument('<shared>', 'a text that both know')
    .action(async (given: string, user: string, shared: string, options: ConsoleOptions) =>
      (await load()).verifyToken(given, user, shared, options),
    );
  example(program.command('completion'), 'northstate completion -s bash > /etc/bash_completion.d/northstate')
    .description('print the completion for a shell')
    .addOption(new Option('-s, --shell <shell>', 'which').choices(shells).makeOptionMandatory())
    .option('-o, --output <file>', 'write it there instead')
    .action(async (options: { shell: Shell; output?: string }) =>
      (await import('./completion.ts')).completion(options),
    );
  example(program.command(completer, { hidden: true }), `northstate ${completer} -- start br`)
    .description('print the words that may come next, for the completion of a shell')
    .argument('[words...]')
    .passThroughOptions()
    .action(async (words: string[]) => (await import('./completion.ts')).complete(program, words));
}

/** Adds patch, rollback, overlay, explain, wait, events and report. */
export function addDeclarative(program: Command): void {
  const load = () => import('./document.ts');
  patches(example(program.command('patch'), `northstate patch '{"containers":{"broker":{"state":"mounted"}}}'`))
    .description('change fields of the document: a list is a JSON patch (RFC 6902), an object a merge patch (RFC 7386)')
    .argument('[patch]', 'JSON or YAML')
    .option('-f, --file <file>', 'the patch, - is standard input')
    .option('--expect <generation>', 'refuse unless this generation is in force', wholeNumber)
    .action(async (given: string | undefined, options: import('./document.ts').PatchCommand) =>
      (await load()).patch(given, options),
    );
  talks(example(program.command('rollback'), 'northstate rollback 7'))
    .description('make a stored generation the document again, with the versions that it had')
    .argument('[generation]', 'a number that `history` shows (default: the one before that in force)', wholeNumber)
    .option('--expect <generation>', 'refuse unless this generation is in force', wholeNumber)
    .action(async (generation: number | undefined, options: ConsoleOptions & { expect?: number }) =>
      (await load()).rollback(generation, options),
    );
  const overlay = talks(example(program.command('overlay'), 'northstate overlay drop broker'))
    .description('show what commands hold over the document until the boot ends')
    .addOption(format())
    .action(async (options: Parameters<typeof import('./overlay-command.ts').overlay>[0]) =>
      (await import('./overlay-command.ts')).overlay(options),
    );
  talks(overlay.command('drop'))
    .description('take it away: the document alone counts again')
    .argument('[name]', 'a container (default: all of it)')
    .action(async (name: string | undefined, options: ConsoleOptions) =>
      (await import('./overlay-command.ts')).dropOverlay(name, options),
    );
  talks(example(program.command('explain'), 'northstate explain telemetry'))
    .description('show the chain of what keeps a container from being as the document wants it')
    .argument('<names...>', 'containers')
    .addOption(format())
    .action(async (names: string[], options: Parameters<Awaited<ReturnType<typeof load>>['explain']>[1]) =>
      (await load()).explain(names, options),
    );
  talks(example(program.command('wait'), 'northstate wait --for converged --timeout 60s'))
    .description(
      'wait until the document is reached, or confirmed: exit code 0; 3 when it failed for good, 4 when the time is over',
    )
    .addOption(new Option('--for <what>', 'what to wait for').choices(['converged', 'confirmed']).default('converged'))
    .addOption(timeout('60s', 'how long to wait, also for the daemon'))
    .option('--generation <generation>', 'this one or a later one (default: the present one)', wholeNumber)
    .action(
      async ({ for: what, ...options }: Parameters<Awaited<ReturnType<typeof load>>['wait']>[0] & { for: string }) =>
        (await load()).wait({ ...options, for: what === 'confirmed' ? what : 'reached' }),
    );
  talks(example(program.command('events'), 'northstate events -f'))
    .description('show what has happened to containers, with numbers and times')
    .option('-f, --follow', 'go on with what comes')
    .option('--since <place>', 'what came after the event of this number, or since a time: 5m, 2026-01-31T12:00:00Z')
    .option('--boot <id>', 'the boot that the number counts in')
    .addOption(format(['table', 'json']))
    .action(async (options: import('./events-command.ts').EventsCommand) =>
      (await import('./events-command.ts')).events(options),
    );
  talks(example(program.command('metrics'), 'northstate metrics'))
    .description('print what is measured: OpenMetrics, or the older text that promtool checks')
    .addOption(
      new Option('-o, --output <format>', 'which').choices(['openmetrics', 'prometheus']).default('openmetrics'),
    )
    .action(async (options: ConsoleOptions & { output: 'openmetrics' | 'prometheus' }) =>
      (await load()).metrics(options),
    );
  talks(example(program.command('report'), 'northstate report report.zip'))
    .description('write an archive of all that explains the present state, without secrets, for support')
    .argument('[file]', 'a file that does not exist yet')
    .action(async (file: string | undefined, options: ConsoleOptions) =>
      (await import('./events-command.ts')).report(file, options),
    );
}

interface GlobalOptions {
  readonly url?: string;
  readonly timeout?: number;
}

/** The options that nstar takes before the command, and those of TLS; each is passed on to the command. */
export function addGlobalOptions(program: Command): void {
  program
    .option('-u, --url <url>', 'where the daemon listens, as --console of a command')
    // As every command has it behind its name.
    .addOption(new Option('--console <url>').hideHelp())
    .option('-j, --json', "print the console's messages as they are")
    .addOption(new Option('-t, --timeout <duration>', 'give up after so long').argParser(duration))
    .option('--tls-ca <file>', 'who signed the certificate of a console at tls://host:port (PEM)')
    .option('--tls-cert <file>', 'our certificate for it (PEM)')
    .option('--tls-key <file>', 'the key of our certificate (PEM)')
    .option('--tls-name <name>', "the name in the console's certificate, where it is not the host's")
    .hook('preAction', (_, command) => {
      const { url, timeout: limit, ...same } = program.opts<ConsoleOptions & GlobalOptions>();
      for (const [name, value] of Object.entries({ limit, ...same, console: url ?? same.console })) {
        if (value !== undefined && command.getOptionValue(name) === undefined) command.setOptionValue(name, value);
      }
    });
}
