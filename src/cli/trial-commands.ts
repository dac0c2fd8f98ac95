// The words of the commands for documents on trial.
import { Argument, type Command } from 'commander';
import type { ConsoleOptions } from './console.ts';
import type { Format } from './output.ts';
import { example, format, talks, wholeNumber } from './words.ts';

type Printed = ConsoleOptions & { readonly output: Format };

/** Adds the commands to the program. */
export function addTrial(program: Command): void {
  const load = () => import('./trial.ts');
  talks(example(program.command('confirm'), 'northstate confirm'))
    .description('confirm the document on trial: nothing takes it back any more')
    .argument('[generation]', 'refuse unless it is this one', wholeNumber)
    .action(async (generation: number | undefined, options: ConsoleOptions) =>
      (await load()).confirm(generation ?? null, options),
    );
  talks(example(program.command('revert'), 'northstate revert'))
    .description('take the document on trial back: the one that was confirmed before is in force again')
    .argument('[generation]', 'refuse unless it is this one', wholeNumber)
    .action(async (generation: number | undefined, options: ConsoleOptions) =>
      (await load()).revert(generation ?? null, options),
    );
  talks(example(program.command('trial'), 'northstate trial'))
    .description(
      'show the document on trial, what it waits for and what it would go back to; or how the last trial ended',
    )
    .addOption(format())
    .action(async (options: Printed) => (await load()).trial(options));
  talks(example(program.command('quarantine'), 'northstate quarantine release app:1.4.0'))
    .description('show what has failed in a trial and is passed over; or have it tried again')
    .addArgument(new Argument('[what]', 'list or release').choices(['list', 'release']).default('list'))
    .argument('[which]', 'of release: a digest, the beginning of one, or a name (default: everything)')
    .addOption(format())
    .action(async (what: 'list' | 'release', which: string | undefined, options: Printed) => {
      const { quarantine, release } = await load();
      await (what === 'release' ? release(which ?? null, options) : quarantine(options));
    });
}
