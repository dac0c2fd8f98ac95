// What the definitions of several commands share.
import { InvalidArgumentError, Option, type Command } from 'commander';
import { parseDuration } from '../../state/schema/units.ts';

/** Adds a line to try to a command's help. */
export function example(command: Command, line: string): Command {
  return command.addHelpText('after', `\nExample:\n  ${line}`);
}

/** The option that says how to print; the first form is the default. */
export function format(forms: readonly [string, ...string[]] = ['table', 'json', 'yaml']): Option {
  return new Option('-o, --output <format>', 'what to print').choices(forms).default(forms[0]);
}

/** Reads a whole number; throws commander's error for anything else. */
export function wholeNumber(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('Expected a whole number.');
  return Number(text);
}

/** Adds the options of every command that talks to a daemon. */
export function talks(command: Command): Command {
  return command
    .option('--console <url>', 'where the daemon listens: unix:///path, tcp://host:port')
    .option('-j, --json', "print the console's messages as they are");
}

/** Adds the options of every command that changes the document. */
export function patches(command: Command): Command {
  return talks(command)
    .option('--boot', 'the change lasts until the boot ends')
    .option('--document', 'the change lasts in the document');
}

/** An option that takes a duration; it has this one when it is left out. */
export function timeout(text: string, description: string): Option {
  return new Option('--timeout <duration>', description).argParser(duration).default(parseDuration(text), text);
}

/** Reads a duration, in ms; throws commander's error for anything else. */
export function duration(text: string): number {
  const value = parseDuration(text);
  if (value === null) throw new InvalidArgumentError('Expected a duration such as 30s or 5m.');
  return value;
}
