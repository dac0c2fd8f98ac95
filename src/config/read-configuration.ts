// Reads the configuration file, once, when the runtime is started.
import { readFile } from 'node:fs/promises';
import { ConfigurationError } from './configuration-error.ts';
import { defaultConfigPath, type Configuration } from './configuration.ts';

/** What the command line says instead of the file. */
export interface Overrides {
  readonly desired?: string;
  readonly stateDir?: string;
}

/** What a configuration is made of: the file, its bytes (null: there is none), and what the command line says instead. */
export interface Source {
  readonly file: string;
  readonly text: Uint8Array | null;
  readonly overrides: Overrides;
}

/**
 * Reads the file. Without a path it is the default one, which may be missing; a file that is named must be there. Throws
 * ConfigurationError with the errno of the file.
 */
export async function readSource(path: string | undefined, overrides: Overrides = {}): Promise<Source> {
  const file = path ?? defaultConfigPath;
  try {
    return { file, text: await readFile(file), overrides };
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (path !== undefined || code !== 'ENOENT') throw new ConfigurationError(`configuration ${file}: ${code}`);
    return { file, text: null, overrides };
  }
}

/** The configuration that a source gives. Throws ConfigurationError with line and column. */
export async function configurationOf({ file, text, overrides }: Source): Promise<Configuration> {
  const given = text === null ? '' : Buffer.from(text).toString('utf8');
  return { ...(await parseConfiguration(given, file)), ...overrides };
}

/** Both at once. */
export async function readConfiguration(path: string | undefined, overrides: Overrides = {}): Promise<Configuration> {
  return await configurationOf(await readSource(path, overrides));
}

/** Checks the text of a configuration and fills in the defaults; `file` is for messages. Throws ConfigurationError. */
export async function parseConfiguration(text: string, file: string): Promise<Configuration> {
  const { checkConfiguration } = await import('./config-schema.ts');
  return checkConfiguration(text, file);
}
