// The mount table of this process as text: /proc/self/mountinfo (proc_pid_mountinfo(5)).
import { readFileSync } from 'node:fs';

/** One line of the table. */
export interface TableEntry {
  readonly mountId: number;
  readonly major: number;
  readonly minor: number;
  /** The directory of the file system that is the root of this mount. */
  readonly root: string;
  readonly target: string;
  readonly type: string;
  readonly source: string;
  /** Options of the file system (not those of the mount). */
  readonly options: readonly string[];
}

/** Reads the whole table, in the order of mounting: of two entries on one target the later one is seen. */
export function readMountTable(): TableEntry[] {
  return parseMountTable(readFileSync('/proc/self/mountinfo', 'utf8'));
}

/** Reads the table's text. Fields are parted by blanks, optional ones end at a lone `-`, odd characters are octal escapes. */
export function parseMountTable(text: string): TableEntry[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map(parseLine);
}

function parseLine(line: string): TableEntry {
  const fields = line.split(' ');
  const [mountId, , device = '', root, target] = fields;
  const separator = fields.indexOf('-', 6);
  const [type, source, options] = fields.slice(separator + 1);
  if (separator < 0 || root === undefined || target === undefined || options === undefined) {
    throw new Error(`/proc/self/mountinfo: unexpected line: ${line}`);
  }
  const [major, minor] = device.split(':');
  return {
    mountId: Number(mountId),
    major: Number(major),
    minor: Number(minor),
    root: unescape(root),
    target: unescape(target),
    type: type ?? '',
    source: unescape(source ?? ''),
    options: options.split(','),
  };
}

/** Blank, tab, newline and backslash stand as three octal digits. */
function unescape(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}
