// The configuration: settings that need a restart. `northstate run` reads it once and hands it to the reconciler as an
// argument, so that every restart of the reconciler works with the same one.
import { readFile } from 'node:fs/promises';
import type { RepositoryEntry } from '../../state/desired.ts';
import type { DocumentError } from '../../state/text/yaml.ts';
import type { Limits } from '../console/server/connection.ts';
import type { Tls } from '../console/server/listening.ts';
import type { Permissions } from '../console/protocol/permissions.ts';
import type { PeerRule } from '../console/server/server.ts';
import type { Lifetime } from '../runtime/runtime.ts';

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

export interface ConsoleConfiguration {
  /** `unix:///path` or `tcp://host:port` */
  readonly listen: string;
  readonly permissions: Permissions;
  /** Of a unix socket's clients, by user and group of their process; the first that fits counts. */
  readonly peers?: readonly PeerRule[];
  /** Of a unix socket. */
  readonly file?: { readonly mode: number; readonly uid: number; readonly gid: number };
  /** Of a TCP listener. */
  readonly tls?: Tls;
  readonly patches: Lifetime;
  readonly limits: Partial<Limits>;
}

export interface Configuration {
  /** The document. */
  readonly desired: string;
  /** Copied there when no document ever was. */
  readonly seed: string;
  readonly stateDir: string;
  readonly dataDir: string;
  readonly runDir: string;
  readonly socketDir: string;
  /** Name below the root of every cgroup hierarchy that is used. */
  readonly cgroup: string;
  readonly console: readonly ConsoleConfiguration[];
  /** The consoles that containers get with their start. */
  readonly containerConsoles: { readonly patches: Lifetime; readonly limits: Partial<Limits> };
  /** They are there beside the document's. */
  readonly repositories: readonly RepositoryEntry[];
  /** ms for which a free loop device is looked for. */
  readonly loopTimeout: number;
  /** Commands that run beside each container that starts. */
  readonly debug: { readonly commands: readonly string[] };
  readonly log: { readonly level: LogLevel };
}

/** Where the configuration is when nobody names another file. */
export const defaultConfigPath = '/etc/northstate/config.yaml';

/** The configuration is not what it must be. `line` and `column` count from 1, 0 = no place in the text. */
export class ConfigurationError extends Error {
  readonly line: number;
  readonly column: number;
  readonly excerpt: string;

  constructor(message: string, { line = 0, column = 0, excerpt = '' } = {}) {
    super(message);
    this.name = 'ConfigurationError';
    this.line = line;
    this.column = column;
    this.excerpt = excerpt;
  }
}

/** An error at a place in the text of `file`. */
export function configurationError(
  file: string,
  { line, column, excerpt, message }: DocumentError,
): ConfigurationError {
  const place = `configuration ${file}, line ${line}, column ${column}`;
  return new ConfigurationError(`${place}: ${message}`, { line, column, excerpt });
}

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

/** The configuration as the reconciler's argument, and back. */
export function configurationArgument(configuration: Configuration): string {
  return JSON.stringify(configuration);
}

export function configurationFromArgument(argument: string): Configuration {
  return JSON.parse(argument) as Configuration;
}
