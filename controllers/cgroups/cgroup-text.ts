// The forms in which the kernel writes the files of a group. Pure.

/** Gives the text of one of a group's files, '' where there is none. */
export type ReadFile = (file: string) => string;

/** Lines `name number`. */
export function namedNumbers(text: string): Record<string, number> {
  return Object.fromEntries([...text.matchAll(/^(\w+) (\d+)$/gm)].map(([, name = '', value]) => [name, Number(value)]));
}

/** Lines `8:0 rbytes=4096 wbytes=0`; a value of `max` is no number and is left out. */
export function deviceValues(text: string): { major: number; minor: number; values: Record<string, number> }[] {
  return [...text.matchAll(/^(\d+):(\d+) (.*)$/gm)].map(([, major, minor, rest = '']) => ({
    major: Number(major),
    minor: Number(minor),
    values: Object.fromEntries([...rest.matchAll(/(\w+)=(\d+)/g)].map(([, key = '', value]) => [key, Number(value)])),
  }));
}

/** Lines `8:0 Read 4096`, by device. */
export function deviceServices(text: string): Record<string, number>[] {
  const found = [...text.matchAll(/^(\d+):(\d+) (\w+) (\d+)$/gm)];
  const devices = Map.groupBy(found, ([, major, minor]) => `${major}:${minor}`);
  return [...devices.values()].map((lines) => ({
    major: Number(lines[0]?.[1]),
    minor: Number(lines[0]?.[2]),
    ...Object.fromEntries(lines.map(([, , , kind = '', value]) => [kind.toLowerCase(), Number(value)])),
  }));
}

/** Lines `8:0 4096`. */
export function deviceNumbers(text: string): Record<string, number>[] {
  const found = [...text.matchAll(/^(\d+):(\d+) (\d+)$/gm)];
  return found.map(([, major, minor, data]) => ({ major: Number(major), minor: Number(minor), data: Number(data) }));
}
