// What the definitions of several commands share.
import { InvalidArgumentError, Option, type Command } from 'commander';
import { parseDuration } from '../../state/schema/units.ts';
import { exitCodes, Failure } from './exit.ts';
import { architectureNamed, architectureNames, type Architecture } from '../npk/program/architecture.ts';

/** Adds a line to try to a command's help. */
export function example(command: Command, line: string): Command {
  return command.addHelpText('after', `\nExample:\n  ${line}`);
}

/** The option that says how to print; the first form is the default. */
export function format(forms: readonly [string, ...string[]] = ['table', 'json', 'yaml']): Option {
  return new Option('-o, --output <format>', 'what to print').choices(forms).default(forms[0]);
}

/** The same of `get`, which knows more forms; jsonpath=TEMPLATE is one. */
export function statusFormat(): Option {
  const forms = ['table', 'wide', 'name', 'json', 'yaml'];
  return new Option('-o, --output <format>', 'what to print; jsonpath=TEMPLATE is another')
    .choices(forms)
    .default('table')
    .argParser((text) => {
      if (forms.includes(text) || text.startsWith('jsonpath=')) return text;
      throw new InvalidArgumentError(`Expected one of ${forms.join(', ')}, or jsonpath=TEMPLATE.`);
    });
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

/** `10m` before now, or a time that Date understands (RFC 3339), in ms since the epoch. Throws a Failure. */
export function pointInTime(text: string): number {
  const length = parseDuration(text);
  const time = length === null ? Date.parse(text) : Date.now() - length;
  if (!Number.isFinite(time)) {
    throw new Failure(`"${text}" is no time`, { code: exitCodes.usage, hint: 'write 10m, 2h or 2026-01-31T12:00:00Z' });
  }
  return Math.max(0, time);
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

/** Adds the options of every command that packs: how the image is made, and how the outcome is told. */
export function imageOptions(command: Command): Command {
  return command
    .option('-k, --key <file>', 'sign with this secret key, raw or PEM')
    .addOption(new Option('--fs <type>', 'file system of the image (default: squashfs)').choices(['squashfs', 'erofs']))
    .addOption(
      new Option('-c, --compression <name>', 'of the image (default: gzip for squashfs, none for erofs)').choices([
        ...['none', 'gzip', 'lzo', 'xz', 'zstd', 'lz4'],
      ]),
    )
    .option('-b, --block-size <bytes>', 'of a squashfs image', wholeNumber)
    .option('--aligned', 'lay out an erofs image so that updates by blocks fetch less; it grows where files are small')
    .option('--clones <number>', 'make so many packages, NAME-0 and so on, around one image', positive)
    .option('--mksquashfs <program>', 'what makes squashfs images', 'mksquashfs')
    .option('--mkfs-erofs <program>', 'what makes erofs images', 'mkfs.erofs')
    .option('--arch <name>', 'what the device is, any = do not look (default: as this machine)', architecture)
    .option('--progress', 'show progress also where stderr is no terminal');
}

/** Reads the name of an architecture; throws commander's error for one that is not known. */
export function architecture(text: string): Architecture | 'any' {
  const found = text === 'any' ? text : architectureNamed(text);
  if (found === null) throw new InvalidArgumentError(`Expected any, or one of ${architectureNames.join(', ')}.`);
  return found;
}

/** Gathers what an option that may be repeated was given. */
export function collect(text: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), text];
}

function positive(text: string): number {
  const value = wholeNumber(text);
  if (value === 0 || value > 100_000) throw new InvalidArgumentError('Expected a number from 1 to 100000.');
  return value;
}
