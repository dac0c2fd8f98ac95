// northstate run: checks the host and the configuration, then becomes the launcher.
import { accessSync, constants, lstatSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { release } from 'node:os';
import { dirname, resolve } from 'node:path';
import {
  configurationArgument,
  defaultConfigPath,
  type Configuration,
  type ConsoleConfiguration,
} from '../config/configuration.ts';
import { parseAddress } from '../console/protocol/address.ts';
import { checkTrusted, makeTrustedDirectory, UntrustedPath } from '../../state/file/trust.ts';
import { daemonProgram, launcherHint, launcherProgram } from '../installation.ts';
import { Failure } from './exit.ts';
import { resetIfAsked } from './reset.ts';
import { ConfigurationError } from '../config/configuration-error.ts';
import { readConfiguration, type Overrides } from '../config/read-configuration.ts';

export interface RunOptions {
  readonly config?: string;
  readonly desired?: string;
  readonly stateDir?: string;
}

/** Becomes the launcher, in the same process; gives nothing back. Throws a Failure that says what the host lacks. */
export async function run({ config, desired, stateDir }: RunOptions): Promise<never> {
  checkHost();
  checkLauncher(launcherProgram());
  const configuration = await prepare(config, {
    ...(desired !== undefined && { desired: resolve(desired) }),
    ...(stateDir !== undefined && { stateDir: resolve(stateDir) }),
  });
  const cgroup = await groupName(configuration.cgroup);
  const directories = ['--state-dir', configuration.stateDir, '--run-dir', configuration.runDir];
  // V8's memory reducer looks every eight seconds whether there is something to reduce, for ever: daemon/spare-memory.ts does
  // it after work.
  const node = [process.execPath, '--disable-warning=ExperimentalWarning', '--no-memory-reducer', '--expose-gc'];
  const reconciler = [...node, daemonProgram(), '--configuration', configurationArgument({ ...configuration, cgroup })];
  flushCompileCache(); // execve(2) skips what Node does at its end
  process.execve?.(launcherProgram(), [launcherProgram(), ...directories, '--', ...reconciler], process.env);
  throw new Failure('this Node has no execve', { hint: 'use the one that comes with northstate' });
}

/** Reads the configuration, makes our directories and checks that all of it is root's. */
async function prepare(config: string | undefined, overrides: Overrides): Promise<Configuration> {
  try {
    await checkTrusted(config ?? defaultConfigPath);
    const configuration = await readConfiguration(config, overrides);
    const { desired } = configuration;
    for (const setting of ['stateDir', 'runDir', 'dataDir', 'socketDir'] as const)
      await makeDirectory(setting, configuration[setting]);
    await checkTrusted(dirname(desired));
    for (const listener of configuration.console) await checkListener(listener);
    const what = await resetIfAsked(configuration);
    if (what !== null)
      process.stderr.write(`northstate: reset, as the marker in ${configuration.stateDir} asked: ${what}\n`);
    return configuration;
  } catch (error) {
    if (error instanceof ConfigurationError) throw new Failure(error.message, { hint: excerptHint(error) });
    if (error instanceof UntrustedPath) throw new Failure(error.message);
    throw error;
  }
}

/** Where containers' groups are made: `auto` is below what an init system has delegated to us, else in a group of our own. */
async function groupName(configured: string): Promise<string> {
  if (configured !== 'auto') return configured;
  const { enterDelegatedGroup } = await import('../../controllers/cgroups/delegated-group.ts');
  return (await enterDelegatedGroup()) ?? 'northstate';
}

/** A directory that cannot be made is named with its setting, and with what is really in the way. */
async function makeDirectory(setting: string, path: string): Promise<void> {
  try {
    await makeTrustedDirectory(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (error instanceof UntrustedPath || code === undefined) throw error;
    const hint = `name a directory that can be written with ${setting} in the configuration`;
    throw new Failure(`${setting}: ${path} cannot be made: ${obstacle(path) ?? `${code} ${path}`}`, { hint });
  }
}

/** Why nothing can be made in the nearest directory that is there: mkdir(2) of a path with parents says ENOENT for much. */
function obstacle(path: string): string | null {
  const above = dirname(path);
  if (above !== path && lstatSync(above, { throwIfNoEntry: false }) === undefined) return obstacle(above);
  try {
    accessSync(above, constants.W_OK);
    return null;
  } catch (error) {
    return `${(error as NodeJS.ErrnoException).code ?? ''} ${above}`;
  }
}

/** What would end every reconciler, one after the other, ends this command. */
async function checkListener({ listen, tls }: ConsoleConfiguration): Promise<void> {
  const files = tls === undefined ? [] : (['cert', 'key', 'ca'] as const).map((field) => [field, tls[field]] as const);
  for (const [field, file] of files) {
    await checkTrusted(file);
    try {
      accessSync(file, constants.R_OK);
    } catch (error) {
      const { code = '' } = error as NodeJS.ErrnoException;
      throw new ConfigurationError(`console ${listen}: tls.${field} ${file}: ${code}`);
    }
  }
  const address = parseAddress(listen);
  const found = address.kind === 'unix' ? lstatSync(address.path, { throwIfNoEntry: false }) : undefined;
  if (found !== undefined && !found.isSocket()) {
    throw new ConfigurationError(`console ${listen}: there is something else than a socket; remove it`);
  }
}

function checkHost(): void {
  if (process.getuid?.() !== 0) throw new Failure('run needs root', { hint: 'use sudo northstate run' });
  const [major = 0, minor = 0] = release()
    .split('.')
    .map((part) => Number.parseInt(part, 10));
  if (major < 5 || (major === 5 && minor < 10)) {
    throw new Failure(`Linux ${release()} is too old`, { hint: 'the oldest kernel that northstate runs on is 5.10' });
  }
}

function checkLauncher(path: string): void {
  try {
    accessSync(path, constants.X_OK);
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    throw new Failure(`launcher ${path}: ${code}`, { hint: launcherHint() });
  }
}

function excerptHint({ excerpt }: ConfigurationError): string | null {
  const [line = ''] = excerpt.split('\n');
  return line.trim() === '' ? null : `at: ${line.trim()}`;
}
