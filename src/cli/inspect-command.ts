// northstate inspect: of a package file, without a daemon, or of a container that is installed.
import { statSync } from 'node:fs';
import type { ConsoleOptions } from './console.ts';
import type { InspectOptions } from './package-files.ts';

/** A word with a slash, one that ends in .npk, and one that names a file is a package; any other, a directory's too, is a container. */
export async function inspect(what: string, options: InspectOptions & ConsoleOptions): Promise<void> {
  const isFile =
    what.includes('/') || what.endsWith('.npk') || statSync(what, { throwIfNoEntry: false })?.isFile() === true;
  if (isFile) await (await import('./package-files.ts')).inspect(what, options);
  else await (await import('./nstar-commands.ts')).inspectContainer(what, options);
}
