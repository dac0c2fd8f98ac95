// What commands print: tables by hand, JSON, YAML; colour on a terminal only (util.styleText looks itself).
import { stripVTControlCharacters } from 'node:util';

export const formats = ['table', 'json', 'yaml'] as const;
export type Format = (typeof formats)[number];

/** Rows in columns as wide as their widest cell on the screen; colours count for nothing. No row is padded at its end. */
export async function table(rows: readonly (readonly string[])[]): Promise<string> {
  const width = await ruler(rows);
  const widths: number[] = [];
  for (const row of rows) {
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, width(cell));
  }
  const lines = rows.map((row) =>
    row.map((cell, column) => cell + ' '.repeat((widths[column] ?? 0) - width(cell))).join('  '),
  );
  return lines.map((line) => `${line.trimEnd()}\n`).join('');
}

/** How wide a text is on the screen. The library that knows all scripts takes longer to load than a command to run. */
async function ruler(rows: readonly (readonly string[])[]): Promise<(text: string) => number> {
  const isPlain = rows.every((row) => row.every((cell) => /^[\0-\x7f]*$/.test(cell)));
  return isPlain ? (text) => stripVTControlCharacters(text).length : (await import('string-width')).default;
}

/** A value as JSON for people, or as YAML. */
export async function render(value: unknown, format: 'json' | 'yaml'): Promise<string> {
  if (format === 'json') return `${JSON.stringify(value, null, 2)}\n`;
  // Bundled, a CommonJS module that is imported late has its default export only.
  const { default: yaml } = await import('yaml');
  return yaml.stringify(value);
}

/** Characters that would command a terminal, made visible: what a container or a document says is only text. */
export function printable(text: string): string {
  // eslint's rule against control characters has no say here: they are what is looked for.
  return [...text].map((character) => (isControl(character) ? `\\x${hex(character)}` : character)).join('');
}

function isControl(character: string): boolean {
  const code = character.codePointAt(0) ?? 0;
  return (code < 0x20 && character !== '\t') || (code >= 0x7f && code < 0xa0);
}

function hex(character: string): string {
  return (character.codePointAt(0) ?? 0).toString(16).padStart(2, '0');
}
