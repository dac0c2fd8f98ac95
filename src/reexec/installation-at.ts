// Another installation of the runtime, by its directory: that of a device (/usr/lib/northstate), or a checkout.
import { existsSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { checkTrusted } from '../../state/file/trust.ts';
import { commandProgram } from '../installation.ts';
import { RuntimeError } from '../runtime/runtime.ts';

/** What is executed of one, below its directory. */
const installed = ['northstate', 'northstate-launcher', 'northstate-player', 'node', 'bundle/daemon.cjs'];
const checkedOut = ['src/cli/northstate', '.build/northstate-launcher', '.build/northstate-player', 'package.json'];

/**
 * The command of the installation in a directory (null: of our own, as it is now). Rejects with RuntimeError when there is none,
 * and with UntrustedPath when somebody else than root could change what would be executed.
 */
export async function commandAt(directory: string | null): Promise<string> {
  if (directory === null) {
    await checkTrusted(commandProgram());
    return commandProgram();
  }
  if (!isAbsolute(directory)) throw unusable(`${directory} is no absolute path`);
  const programs = [installed, checkedOut].find(([command = '']) => existsSync(join(directory, command)));
  if (programs === undefined) throw unusable(`${directory} holds no installation: it has no northstate`);
  const paths = programs.map((name) => join(directory, name));
  const missing = paths.find((path) => !existsSync(path));
  if (missing !== undefined) throw unusable(`${directory} holds no whole installation: ${missing} is missing`);
  for (const path of paths) await checkTrusted(path);
  const [command = ''] = paths;
  return command;
}

function unusable(message: string): RuntimeError {
  return new RuntimeError('reexec_refused', message);
}
