// Where the programs of this installation lie: in a checkout below `.build`, elsewhere beside the bundle that runs.
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

const here = import.meta.dirname;
const root = join(here, '..');
/** Bundled, every module lies where the command line does. */
const bundled = existsSync(join(here, 'main.mjs'));

/** The launcher's path; it may be missing. */
export function launcherProgram(): string {
  return join(root, bundled ? 'northstate-launcher' : '.build/northstate-launcher');
}

/** What to do when the launcher is missing. */
export function launcherHint(): string {
  return bundled
    ? 'the runtime comes with the Debian package or the archive; the npm package has only the tools beside it'
    : 'build it with: npm run setup';
}

/** The program of the reconciler: of a checkout the bundled one when it was made from the sources that are there. */
export function daemonProgram(): string {
  if (bundled) return join(here, 'daemon.mjs');
  const source = join(here, 'daemon.ts');
  const bundle = join(root, '.build/bundle/daemon.mjs');
  const made = statSync(bundle, { throwIfNoEntry: false })?.mtimeMs;
  if (made === undefined) return source;
  const sources = ['src', 'state', 'controllers', 'native'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts'))
      .map((file) => join(root, folder, file)),
  );
  const changed = sources.some((file) => (statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0) > made);
  return changed ? source : bundle;
}
