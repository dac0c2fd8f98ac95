// Where the programs of this installation lie: in a checkout below `.build`, elsewhere beside the bundle that runs.
import { existsSync } from 'node:fs';
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

/** A static busybox that whoever builds the root file system may put beside the launcher; it may be missing. */
export function ownShell(): string {
  return join(root, bundled ? 'busybox' : '.build/busybox');
}

/** The command: the shell script that finds the installation. */
export function commandProgram(): string {
  const beside = join(root, 'northstate');
  // A checkout may run its bundle, which lies below .build.
  return bundled && existsSync(beside) ? beside : join(root, bundled ? '..' : '', 'src/cli/northstate');
}
