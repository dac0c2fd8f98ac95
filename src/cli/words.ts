// What the definitions of several commands share.
import { InvalidArgumentError, Option, type Command } from 'commander';

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
