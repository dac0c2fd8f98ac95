// Versions of packages and what may be asked of them: semver 2.0 and the requirement grammar of Cargo.
// Its index makes things that nobody here asks for, at each start.
import Range from 'semver/classes/range.js';
import compare from 'semver/functions/compare.js';

/** A requirement in Cargo's grammar. `text` is its normal form: `1` is `^1`, comparators are parted by a comma. */
export interface Requirement {
  readonly text: string;
  readonly range: Range;
}

const LONGEST = 256;
const MOST_COMPARATORS = 32;
const number = '(0|[1-9]\\d{0,15})';
const suffix = '(?:-[0-9A-Za-z.-]+)?(?:\\+[0-9A-Za-z.-]+)?';
const VERSION = new RegExp(`^${number}\\.${number}\\.${number}${suffix}$`);
const RELEASE = /^\d+\.\d+\.\d+$/;
const ONE = /^=?\s*(\d+\.\d+\.\d+)$/;
const COMPARATOR = new RegExp(
  `^(=|>=|>|<=|<|~|\\^)?\\s*${number}(?:\\.(?:${number}|[*xX])(?:\\.(?:${number}|[*xX])(-[0-9A-Za-z.-]+)?(?:\\+[0-9A-Za-z.-]+)?)?)?$`,
);

/** `major.minor.patch` of a semver text; a pre-release or build suffix is dropped. Throws when it is no version. */
export function parseVersion(text: string): string {
  const found = text.length <= LONGEST ? VERSION.exec(text) : null;
  const numbers = found?.slice(1, 4) ?? [];
  if (found === null || !numbers.every((part) => Number.isSafeInteger(Number(part)))) {
    throw new Error(`"${shortened(text)}" is not a version: expected major.minor.patch`);
  }
  return numbers.join('.');
}

/** The only version that a requirement admits, which `a.b.c` and `=a.b.c` say; null when it admits others. */
export function onlyVersion(requirement: string): string | null {
  return ONE.exec(requirement)?.[1] ?? null;
}

/** Less than, equal to or greater than 0, as `a` is lower than, equal to or higher than `b`. Both as parseVersion gives them. */
export function compareVersions(a: string, b: string): number {
  return compare(a, b);
}

/** Reads a requirement (https://doc.rust-lang.org/cargo/reference/specifying-dependencies.html). Throws when it is none. */
export function parseRequirement(text: string): Requirement {
  if (text.trim() === '*') return { text: '*', range: new Range('*') };
  const parts = text.length <= LONGEST ? text.split(',') : [];
  if (parts.length === 0 || parts.length > MOST_COMPARATORS) throw notARequirement(text);
  const comparators = parts.map((part) => comparator(part.trim(), text));
  return { text: comparators.join(', '), range: new Range(comparators.join(' ')) };
}

/** Whether a version meets a requirement. */
export function matches(requirement: Requirement, version: string): boolean {
  return (requirement.text === '*' && RELEASE.test(version)) || requirement.range.test(version);
}

/** The highest of the versions that meets the requirement, null when none does. */
export function highest(requirement: Requirement, versions: Iterable<string>): string | null {
  let best: string | null = null;
  for (const version of versions) {
    if (matches(requirement, version) && (best === null || compare(version, best) > 0)) best = version;
  }
  return best;
}

/** One comparator in Cargo's own normal form, which the semver package understands in the same way. */
function comparator(part: string, whole: string): string {
  const found = COMPARATOR.exec(part);
  if (found === null) throw notARequirement(whole);
  const [, operator, major, minor, patch, preRelease = ''] = found;
  const numbers = [major, minor, patch].filter((each) => each !== undefined);
  const wildcard = /[*xX](?:\.[*xX])?$/.test(part) && preRelease === '';
  const gap = minor === undefined && patch !== undefined;
  if (gap || (preRelease !== '' && patch === undefined)) throw notARequirement(whole);
  if (!numbers.every((each) => Number.isSafeInteger(Number(each)))) throw notARequirement(whole);
  if (wildcard && operator === undefined) return `${numbers.join('.')}.*`;
  return `${operator ?? '^'}${numbers.join('.')}${preRelease}`;
}

function notARequirement(text: string): Error {
  return new Error(`"${shortened(text)}" is not a version requirement: expected for example ^1.2, >=1.0, <2 or *`);
}

function shortened(text: string): string {
  return text.length > 64 ? `${text.slice(0, 64)}...` : text;
}
