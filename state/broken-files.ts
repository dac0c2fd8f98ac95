// Which files of the repositories that are no packages might have been one of a container's. Pure.
import { basename } from 'node:path';
import type { ObservedRepository } from './observed.ts';

type BrokenFiles = ObservedRepository['broken'];

/** Files that are named as a container's packages are and are none, and its packages that are there twice. */
export function brokenFilesOf(name: string, repositories: Iterable<Pick<ObservedRepository, 'broken'>>): BrokenFiles {
  return [...repositories].flatMap(({ broken }) =>
    broken.filter(({ path, message }) => isNamedFor(path, name) || message.startsWith(`${name}:`)),
  );
}

/** What cannot be read tells no more than its name: NAME.npk, NAME:VERSION... or NAME-VERSION... */
function isNamedFor(path: string, name: string): boolean {
  const file = basename(path).replace(/^\.+/, '');
  return file.startsWith(name) && /^(?:[:-]\d|\.npk)/.test(file.slice(name.length));
}
