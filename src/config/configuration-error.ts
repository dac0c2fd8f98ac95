// What is wrong with a configuration, and where.
import type { DocumentError } from '../../state/text/yaml.ts';

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
