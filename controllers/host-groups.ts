// Names of groups to numbers, by the host's group file (group(5)).
import { readFileSync } from 'node:fs';

/** Where the host's groups stand. */
export const groupFile = '/etc/group';

/** The numbers of the groups that exist, in the order of their names; the others in `unknown`. Throws when the file cannot be read. */
export function groupNumbers(names: readonly string[], file = groupFile): { known: number[]; unknown: string[] } {
  if (names.length === 0) return { known: [], unknown: [] };
  const groups = new Map(readFileSync(file, 'utf8').split('\n').flatMap(parseLine));
  const known = names.flatMap((name) => groups.get(name) ?? []);
  return { known, unknown: names.filter((name) => !groups.has(name)) };
}

/** `name:password:number:members`; other lines are none. */
function parseLine(line: string): [string, number][] {
  const [name, , number] = line.split(':');
  return name !== undefined && number !== undefined && /^\d+$/.test(number) ? [[name, Number(number)]] : [];
}
