// Lists of processors and memory nodes as cpuset(7) writes them ("List format"): 0-1,3.
import { readFileSync } from 'node:fs';

/** The form of such a list. */
export const listPattern = /^\d{1,5}(?:-\d{1,5})?(?:,\d{1,5}(?:-\d{1,5})?)*$/;
/** No kernel knows a higher number (CONFIG_NR_CPUS, MAX_NUMNODES). */
const HIGHEST = 8191;

/** The numbers of a list, in order; null when it is none, or when a range runs backwards or beyond any kernel's. */
export function parseList(text: string): readonly number[] | null {
  if (text.length > 4096 || !listPattern.test(text)) return null;
  const found = new Set<number>();
  for (const part of text.split(',')) {
    const [first = 0, last = first] = part.split('-').map(Number);
    if (last < first || last > HIGHEST) return null;
    for (let number = first; number <= last; number += 1) found.add(number);
  }
  return [...found].sort((a, b) => a - b);
}

/** A list in the kernel's own spelling: `0,1,3` is `0-1,3`. What is no list stays as it is. */
export function kernelList(text: string): string {
  const numbers = parseList(text);
  if (numbers === null) return text;
  const starts = numbers.filter((number, index) => numbers[index - 1] !== number - 1);
  const ends = numbers.filter((number, index) => numbers[index + 1] !== number + 1);
  return starts.map((start, index) => (start === ends[index] ? String(start) : `${start}-${ends[index]}`)).join(',');
}

const places = {
  processors: '/sys/devices/system/cpu/present',
  'memory nodes': '/sys/devices/system/node/has_memory',
} as const;
const present = new Map<string, readonly number[] | null>();

/** What keeps a set from being one of this host; null when it is one, or when the host does not say what it has. */
export function problemOfSet(kind: keyof typeof places, text: string): string | null {
  const asked = parseList(text);
  if (asked === null) return `a list of ${kind} is expected, such as 0-1,3`;
  const has = onHost(kind);
  const lacking = has === null ? undefined : asked.find((number) => !has.includes(number));
  if (has === null || lacking === undefined) return null;
  return `${lacking} is none of this host's ${kind}: ${kernelList(has.join(','))}`;
}

/** Read once: what is present is as it was when the kernel came up, as long as nobody plugs in more. */
function onHost(kind: keyof typeof places): readonly number[] | null {
  const known = present.get(kind);
  if (known !== undefined) return known;
  let found: readonly number[] | null;
  try {
    found = parseList(readFileSync(places[kind], 'utf8').trim());
  } catch {
    found = null; // a kernel without NUMA, or without sysfs
  }
  present.set(kind, found);
  return found;
}
