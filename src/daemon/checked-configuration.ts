// The configuration of this runtime: read and checked by the first reconciler of a launcher, which keeps it for the next ones,
// so that all of them work with the same.
import { accessSync, closeSync, constants, lstatSync, openSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { LaunchError } from '../../native/wire/attempt.ts';
import { ConfigurationError } from '../config/configuration-error.ts';
import {
  configurationArgument,
  defaultConfigPath,
  type Configuration,
  type ConsoleConfiguration,
} from '../config/configuration.ts';
import { configurationOf, readSource, type Overrides, type Source } from '../config/read-configuration.ts';
import { findSummary, keepSummary } from '../config/summary.ts';
import { parseAddress } from '../console/protocol/address.ts';
import { Failure } from '../cli/exit.ts';
import { runtimeVersion } from '../runtime-version.ts';
import { messageOf } from '../../state/errno.ts';
import { understood, understoodFile } from '../../state/file/understood.ts';
import { checkTrusted, makeTrustedDirectory, UntrustedPath } from '../../state/file/trust.ts';
import { keptMemory, openKeptValue } from './kept-value.ts';
import { checkForm, noteForm } from './state-form.ts';
import type { LauncherLink } from './launcher-link.ts';
import { socketDirMode } from '../../controllers/sandbox/start-descriptors.ts';

/** What the command line says. */
export interface Settings {
  readonly config?: string | undefined;
  readonly desired?: string | undefined;
  readonly 'state-dir'?: string | undefined;
}

/** `unkept`: why its summary could not be kept for the next start; null when it was, or need not be. */
export interface Checked {
  readonly configuration: Configuration;
  readonly unkept: string | null;
}

/** What the launcher keeps: what the file said at the start, for a runtime of another version, and what this one made of it. */
interface KeptConfiguration {
  readonly runtime: string;
  readonly source: { readonly file: string; readonly text: string | null; readonly overrides: Overrides };
  readonly configuration: Configuration;
}

/** Rejects with a Failure that says, in one line and a hint, what is wrong with the configuration or the host. */
export async function checkedConfiguration(settings: Settings, link: LauncherLink): Promise<Checked> {
  const { launcher, remembered } = link;
  const value = openKeptValue<KeptConfiguration>(
    await keptMemory('configuration', { kept: remembered.descriptors, launcher }),
  );
  const kept = value.get();
  if (kept !== null) {
    const configuration = await madeAnew(kept);
    if (kept.runtime !== runtimeVersion) {
      await noteForm(configuration.stateDir);
      value.set({ ...kept, runtime: runtimeVersion, configuration });
    }
    return { configuration, unkept: null };
  }
  const { configuration: found, source, unkept } = await checked(settings, link);
  const configuration = { ...found, cgroup: await groupName(found.cgroup, remembered.hello.pid) };
  const text = source.text === null ? null : Buffer.from(source.text).toString();
  value.set({ runtime: runtimeVersion, source: { ...source, text }, configuration });
  return { configuration, unkept };
}

/** What an earlier reconciler has kept, of whatever version. Rejects when there is nothing. */
export async function keptConfiguration({ launcher, remembered }: LauncherLink): Promise<Configuration> {
  const fd = await keptMemory('configuration', { kept: remembered.descriptors, launcher });
  const kept = openKeptValue<KeptConfiguration>(fd).get();
  if (kept === null) throw new Error('no configuration was kept');
  return await madeAnew(kept);
}

/** Another version reads the text anew, once; what was found out at the start stays. */
async function madeAnew({ runtime, source, configuration }: KeptConfiguration): Promise<Configuration> {
  if (runtime === runtimeVersion) return configuration;
  const { cgroup, stateDir, passing, runDir } = configuration;
  const text = source.text === null ? null : Buffer.from(source.text);
  const file = understoodFile(runDir, 'configuration', runtimeVersion);
  const made = await understood(file, JSON.stringify(source), async () =>
    configurationArgument(await configurationOf({ ...source, text })),
  );
  return { ...(made as Configuration), cgroup, stateDir, ...(passing !== undefined && { passing }) };
}

/** Reads the configuration, makes our directories, checks that all of it is root's, and locks what is to be ours alone. */
async function checked(
  { config, desired, 'state-dir': stateDir }: Settings,
  link: LauncherLink,
): Promise<Checked & { readonly source: Source }> {
  const overrides: Overrides = {
    ...(desired !== undefined && { desired: resolve(desired) }),
    ...(stateDir !== undefined && { stateDir: resolve(stateDir) }),
  };
  try {
    await checkTrusted(config ?? defaultConfigPath);
    const source = await readSource(config === undefined ? undefined : resolve(config), overrides);
    const summary = await findSummary(source);
    const asked = summary ?? (await configurationOf(source));
    const configuration = await makeDirectories(asked);
    await checkTrusted(dirname(configuration.desired));
    for (const listener of configuration.console) await checkListener(listener);
    for (const directory of [configuration.stateDir, configuration.runDir]) await lock(directory, link);
    await checkForm(configuration.stateDir);
    await resetIfAsked(configuration);
    await noteForm(configuration.stateDir);
    // A directory that takes no writes costs each start the time to read the file.
    const unkept = summary === null ? await keepSummary(source, asked).then(() => null, messageOf) : null;
    return { configuration, source, unkept };
  } catch (error) {
    if (error instanceof ConfigurationError) throw new Failure(error.message, { hint: excerptHint(error) });
    if (error instanceof UntrustedPath) throw new Failure(error.message);
    throw error;
  }
}

/** Where containers' groups are made: `auto` is below what an init system has delegated to us, else in a group of our own. */
async function groupName(configured: string, launcher: number): Promise<string> {
  if (configured !== 'auto') return configured;
  const { enterDelegatedGroup } = await import('../../controllers/cgroups/delegated-group.ts');
  return (await enterDelegatedGroup(launcher)) ?? 'northstate';
}

/**
 * Makes our directories. A disk that takes none keeps no device from coming up with what it has: without a stateDir one in
 * runDir does for this boot, without a dataDir what wants persistent data fails alone. Both are said.
 */
async function makeDirectories(configuration: Configuration): Promise<Configuration> {
  for (const setting of ['runDir', 'socketDir'] as const) await makeDirectory(setting, configuration[setting]);
  const lacking = await lackingOf('dataDir', configuration.dataDir);
  if (lacking !== null) process.stderr.write(`northstate: ${lacking}: containers with persistent data do not start\n`);
  const passing = await lackingOf('stateDir', configuration.stateDir);
  if (passing === null) return configuration;
  const stateDir = join(configuration.runDir, 'state');
  process.stderr.write(`northstate: ${passing}: what changes is kept in ${stateDir} until the boot ends\n`);
  await makeDirectory('stateDir', stateDir);
  return { ...configuration, stateDir, passing };
}

/** Why a directory is not there, on a disk that takes nothing new; null = it is. Throws what is wrong with it else. */
async function lackingOf(setting: string, path: string): Promise<string | null> {
  try {
    await makeDirectory(setting, path);
    return null;
  } catch (error) {
    if (!(error instanceof Failure) || !/: (EROFS|ENOSPC|EDQUOT) /.test(error.message)) throw error;
    return error.message;
  }
}

/** A directory that cannot be made is named with its setting, and with what is really in the way. */
async function makeDirectory(setting: string, path: string): Promise<void> {
  try {
    await makeTrustedDirectory(path, { mode: setting === 'socketDir' ? socketDirMode : 0o700 });
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

/** What would end every reconciler, one after the other, ends the runtime. */
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

/** The launcher keeps the lock, and notes its process id in .lock where that can be written. */
async function lock(directory: string, { launcher }: LauncherLink): Promise<void> {
  const fd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  const note = openNote(directory);
  try {
    await launcher.lock(directory, fd, note);
  } catch (error) {
    throw error instanceof LaunchError ? new Failure(error.subject) : error;
  } finally {
    closeSync(fd);
    if (note !== null) closeSync(note);
  }
}

/** Open for writing, or on a disk that takes no writes for reading; null when there is none. */
function openNote(directory: string): number | null {
  const path = join(directory, '.lock');
  for (const flags of [constants.O_RDWR | constants.O_CREAT, constants.O_RDONLY]) {
    try {
      return openSync(path, flags | constants.O_NOFOLLOW, 0o644);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    }
  }
  return null;
}

async function resetIfAsked(configuration: Configuration): Promise<void> {
  const { resetIfAsked: reset } = await import('../cli/reset.ts');
  const what = await reset(configuration);
  if (what === null) return;
  process.stderr.write(`northstate: reset, as the marker in ${configuration.stateDir} asked: ${what}\n`);
}

function excerptHint({ excerpt }: ConfigurationError): string | null {
  const [line = ''] = excerpt.split('\n');
  return line.trim() === '' ? null : `at: ${line.trim()}`;
}
