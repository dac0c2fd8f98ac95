// Reads the configuration file, once, when the runtime is started.
import { readFile } from 'node:fs/promises';
import { ConfigurationError } from './configuration-error.ts';
import { defaultConfigPath, type Configuration } from './configuration.ts';

/** What the command line says instead of the file. */
export interface Overrides {
  readonly desired?: string;
  readonly stateDir?: string;
}

/**
 * Reads the configuration. Without a path it is the default one, which may be missing; a file that is named must be there.
 * Throws ConfigurationError with line and column, or with the errno of the file.
 */
export async function readConfiguration(path: string | undefined, overrides: Overrides = {}): Promise<Configuration> {
  const file = path ?? defaultConfigPath;
  let text = '';
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (path !== undefined || code !== 'ENOENT') throw new ConfigurationError(`configuration ${file}: ${code}`);
  }
  return { ...(await parseConfiguration(text, file)), ...overrides };
}

/** Checks the text of a configuration and fills in the defaults; `file` is for messages. Throws ConfigurationError. */
export async function parseConfiguration(text: string, file: string): Promise<Configuration> {
  const { checkConfiguration } = await import('./config-schema.ts');
  return checkConfiguration(text, file);
}
