// Commands that look into containers: exec, shell, cp, top.
import { Argument, InvalidArgumentError, Option, type Command } from 'commander';
import type { ConsoleOptions } from './console.ts';
import { duration, example, talks, wholeNumber } from './words.ts';

/** Adds run-once, exec, shell, cp and top. */
export function addInside(program: Command): void {
  talks(example(program.command('run-once'), 'northstate run-once calibrate --timeout 5m -- --full'))
    .description(
      'run a container once and wait for its end, whatever the document wants of it; ends with its exit code, 128 and the number of a signal',
    )
    .usage('[options] <name> [-- <argument...>]')
    .argument('<name>', 'a container, or NAME:VERSION')
    .argument('[arguments...]', "instead of its entry's and its manifest's")
    .addOption(new Option('--timeout <duration>', 'end it after so long').argParser(duration))
    .passThroughOptions()
    .action(async (name: string, args: string[], options: import('./inside.ts').RunOnceOptions) =>
      (await import('./inside.ts')).runOnce(name, args, options),
    );
  talks(example(program.command('exec'), 'northstate exec -it broker -- /bin/sh -l'))
    .description(
      'execute a program in a container that runs, with the rights of its application; ends with its exit code, 128 and the number of a signal',
    )
    .usage('[options] <name> -- <command...>')
    .argument('<name>', 'a container')
    .argument('<command...>', 'the program, and its arguments')
    .option('-i, --interactive', 'pass standard input on')
    .option('-t, --tty', 'give it a terminal')
    .addOption(
      new Option('--user <uid[:gid]>', "as this user instead of the application's (needs exec_privileged)").argParser(
        user,
      ),
    )
    .option('--privileged', 'as root, with every capability and without a filter (needs exec_privileged)')
    .passThroughOptions()
    .action(async (name: string, command: string[], options: import('./inside.ts').ExecOptions) =>
      (await import('./inside.ts')).exec(name, command, options),
    );
  talks(example(program.command('shell'), 'northstate shell broker'))
    .description('open a shell in a container that runs; where it has none, one that only this session sees')
    .argument('<name>', 'a container')
    .argument('[args...]', 'arguments of the shell, as -c COMMAND')
    .addOption(
      new Option('--user <uid[:gid]>', "as this user instead of the application's (needs exec_privileged)").argParser(
        user,
      ),
    )
    .option('--privileged', 'as root, with every capability and without a filter (needs exec_privileged)')
    .passThroughOptions()
    .action(async (name: string, args: string[], options: import('./inside.ts').ExecOptions) =>
      (await import('./inside.ts')).shell(name, args, options),
    );
  talks(example(program.command('cp'), 'northstate cp broker:/data/state.db state.db'))
    .description("copy a file out of a container that runs, or into it, with its application's rights")
    .addArgument(new Argument('<from>', 'a file, or NAME:/path; - is standard input'))
    .addArgument(new Argument('<to>', 'NAME:/path, or a file; - is standard output'))
    .action(async (from: string, to: string, options: ConsoleOptions) =>
      (await import('./copy-command.ts')).cp(from, to, options),
    );
  talks(example(program.command('top'), 'northstate top --interval 5s'))
    .description('show what containers take: a live table on a terminal, one JSON object anywhere else')
    .addOption(
      new Option('--interval <duration>', 'how long it is measured each time').argParser(duration).default(1000, '1s'),
    )
    .action(async (options: import('./top-command.ts').TopOptions) => (await import('./top-command.ts')).top(options));
}

/** `uid[:gid]`, both numbers; the group is that of the same number where it is left out. */
function user(text: string): { uid: number; gid: number } {
  const [uid, gid = uid, ...more] = text.split(':').map((part) => (part === '' ? NaN : wholeNumber(part)));
  if (uid === undefined || gid === undefined || more.length > 0 || !(uid < 2 ** 32 - 1) || !(gid < 2 ** 32 - 1))
    throw new InvalidArgumentError('Expected numbers: UID or UID:GID.');
  return { uid, gid };
}
