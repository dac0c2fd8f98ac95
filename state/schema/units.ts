// Texts with units: durations, sizes.

const milliseconds = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const bytes = { '': 1, k: 1e3, m: 1e6, g: 1e9, t: 1e12, ki: 2 ** 10, mi: 2 ** 20, gi: 2 ** 30, ti: 2 ** 40 } as const;

/** A duration: a number and ms, s, m, h or d. At most 9 digits before the point: no overflow can come of it. */
export const durationPattern = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)$/;
/** A size: a whole number, k M G T (decimal) or Ki Mi Gi Ti, a B if one likes, in any case. */
export const sizePattern = /^(\d{1,15}) ?([kKmMgGtT][iI]?|)[bB]?$/;

/** A duration such as `500ms`, `10s`, `5m`, `1h` or `2d`, in ms; null when it is none. */
export function parseDuration(text: string): number | null {
  const [, number, unit] = durationPattern.exec(text) ?? [];
  if (number === undefined || unit === undefined) return null;
  return Math.round(Number(number) * milliseconds[unit as keyof typeof milliseconds]);
}

const longUnits: readonly [pattern: RegExp, ms: number][] = [
  [/^(?:nanos|nsec|ns)$/, 1e-6],
  [/^(?:micros|usec|us)$/, 1e-3],
  [/^(?:millis|msec|ms)$/, 1],
  [/^(?:seconds|second|secs|sec|s)$/, 1000],
  [/^(?:minutes|minute|mins|min|m)$/, 60_000],
  [/^(?:hours|hour|hrs|hr|h)$/, 3_600_000],
  [/^(?:days|day|d)$/, 86_400_000],
  [/^(?:weeks|week|wks|wk|w)$/, 604_800_000],
  [/^(?:months|month|M)$/, 30.44 * 86_400_000],
  [/^(?:years|year|yrs|yr|y)$/, 365.25 * 86_400_000],
];

/** A duration as Northstar's configuration has it, of one or more parts such as `1min 30s`, in ms; null when it is none. */
export function parseLongDuration(text: string): number | null {
  if (!/^\s*(?:\d{1,15}\s*[A-Za-z]{1,7}\s*)+$/.test(text)) return null;
  const parts = [...text.matchAll(/(\d+)\s*([A-Za-z]+)/g)].map(([, number, unit = '']) => {
    const [, length = NaN] = longUnits.find(([pattern]) => pattern.test(unit)) ?? [];
    return Number(number) * length;
  });
  const sum = Math.round(parts.reduce((total, part) => total + part, 0));
  return Number.isNaN(sum) ? null : sum;
}

/** A size such as `100MB` or `1MiB` in bytes; null when it is none, or more than a number can hold exactly. */
export function parseSize(text: string): number | null {
  const [, number, unit] = sizePattern.exec(text) ?? [];
  if (number === undefined || unit === undefined) return null;
  const size = Number(number) * bytes[unit.toLowerCase() as keyof typeof bytes];
  return Number.isSafeInteger(size) ? size : null;
}
